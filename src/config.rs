//! The configuration file: parsed, checked, and in the form the server takes.
