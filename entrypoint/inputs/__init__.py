"""Parse the action's inputs into `Settings`, or report all errors in them at once."""
