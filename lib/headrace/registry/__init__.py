"""Stage `register`: versions, gates, the champion."""
