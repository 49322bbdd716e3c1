"""What an operator looks at, generated from the service's own metrics: the catalogue and the dashboards."""
