"""Jobs on a cluster: what is submitted, what runs in a job, and what has become of it."""
