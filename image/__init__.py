"""Scripts that assemble the image. The Dockerfile runs them in its build stage."""
