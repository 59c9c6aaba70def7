"""What a manager reads: closed-won analysis, funnel, signal or noise, forecast."""
