"""`make why`: what each tool does when something goes wrong, measured for docs/why.md."""
