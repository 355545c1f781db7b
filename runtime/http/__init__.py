"""HTTP as ingress and the read API both speak it."""
