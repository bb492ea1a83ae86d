//! What Kiln's host driver and its accelerator card agree on: registers, queues, commands, completions, data formats.
