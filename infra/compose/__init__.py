"""The stack of docker-compose.yml: what is made before it starts, and in it."""
