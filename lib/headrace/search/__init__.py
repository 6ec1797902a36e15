"""Stage `search`: trials on driver threads, and the refitted winner."""
