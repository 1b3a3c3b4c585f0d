// Shared fixtures land with the first test that needs them.
