//! File, environment and flags become one checked configuration. Only this module reads the environment.
