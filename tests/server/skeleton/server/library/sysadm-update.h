// Another class of the server's. Nothing here needs it.
