"""Does a change move numbers? Reference methods run again and are compared with what is committed."""
