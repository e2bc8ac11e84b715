"""Video faults in time: frames that are lost, late, repeated, compressed or shaken."""
