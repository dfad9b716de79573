"""``payresil doctor``: is a system as its file says? Each mapping is tried, one by one."""
