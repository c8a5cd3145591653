"""Speech analysis: features, voice activity, and the expression of the lower face."""
