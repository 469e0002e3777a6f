"""Commands that record programs, and run them again: `record`, `recordings`, `replay` of a recording, `fork`,
`doctor`, `blame`."""
