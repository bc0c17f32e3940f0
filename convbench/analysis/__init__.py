"""Tables to decisions: reads results, finds winners and crossovers; knows only tables, never a backend."""
