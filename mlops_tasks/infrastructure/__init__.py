"""One vocabulary for infrastructure: what a stack asks for, in the words of each platform."""
