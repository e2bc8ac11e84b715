"""What training changes in its samples, anew in every epoch; valid and test stay as they are."""
