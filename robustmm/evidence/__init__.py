"""What a finished audit proves: its folder verified and signed, and its numbers as other tools read them."""
