"""The sources of the native kernel, and the script that derives its constants; nothing here is imported by the node."""
