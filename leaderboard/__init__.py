"""Models, prices, benchmarks, runs, results, the scorecard and published routing tables."""
