"""What stands between the camera and the scene, and how the camera stands."""
