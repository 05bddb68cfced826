"""Speed, memory and quality against peers, each as a ratio measured in one run."""
