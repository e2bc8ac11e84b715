"""What a step of the loop is made of: which encoders learn in it, and the parts that its batch goes through in."""
