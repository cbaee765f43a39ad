//! Hostile guests, each with its row of the catalogue in docs/threat-model.md: the test's name begins with the row.

mod c_cpu;
mod h_host_calls;
mod m_memory;
mod p_compile;
mod p_plugins;
mod r_runtime;
mod t_tenants;
