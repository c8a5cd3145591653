"""What fitting an avatar and training a network share: losses, and the loop that can be resumed."""
