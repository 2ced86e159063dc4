"""The device agent: fetch, verify, try, activate, report. Whatever fails, what served before still serves."""
