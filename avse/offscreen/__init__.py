"""What is said by nobody in the picture, and by people who have left it."""
