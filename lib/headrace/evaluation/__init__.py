"""Stage `evaluate`: the winner on the test part."""
