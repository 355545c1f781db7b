"""Whether an exchange is right, and how to make it right again."""
