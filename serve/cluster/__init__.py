"""Ray on one machine and in a cluster: variables, private parts, and the folder of sockets."""
