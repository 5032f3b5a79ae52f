"""The jobs that put the other rooms together; what one room can do alone stays there."""
