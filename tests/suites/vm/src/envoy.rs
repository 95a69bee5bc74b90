//! The scripted Envoy: one VM, its host functions in memory, and a count of every crossing.

use std::collections::BTreeMap;
use std::path::Path;

use wasmi::{Caller, Config, Engine, Extern, Instance, Linker, Memory, Module, Store};

use crate::Result;

/// The root context's number.
const ROOT: u32 = 1;
/// Fuel of the interpreter, more than any test uses.
const FUEL: u64 = u64::MAX / 2;

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const CAS_MISMATCH: u32 = 8;

/// What a piece of work has cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// Times that Envoy entered the VM, by callback.
    pub callbacks: BTreeMap<&'static str, u64>,
    /// Times that the filter called Envoy, by host function.
    pub host_calls: BTreeMap<&'static str, u64>,
    /// The interpreter's measure of what the filter executed: a unit for each instruction of every block of code that it
    /// entered, also for those that a branch in it skips. So it is more than the instructions executed, and grows with them.
    pub fuel: u64,
}

/// A VM of the filter.
#[derive(Debug)]
pub struct Vm {
    store: Store<Host>,
    instance: Instance,
    callbacks: BTreeMap<&'static str, u64>,
}

/// What Envoy holds.
#[derive(Debug, Default)]
pub(crate) struct Host {
    pub(crate) now_ns: u64,
    /// By map type: 0 for a request, 2 for a response.
    pub(crate) headers: BTreeMap<u32, Vec<(&'static str, String)>>,
    /// The bytes of the current body callback.
    pub(crate) buffer: Vec<u8>,
    shared: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    /// By handle.
    stats: Vec<(String, i64)>,
    calls: BTreeMap<&'static str, u64>,
    /// The filter's lines in Envoy's log.
    log: Vec<String>,
}

// === impl Costs ===

impl Costs {
    /// The sum of all crossings.
    pub fn crossings(&self) -> u64 {
        self.callbacks.values().chain(self.host_calls.values()).sum()
    }
}

// === impl Vm ===

impl Vm {
    /// Loads the file that `INFERTALLY_WASM` names, as `make test` sets it, and starts it as Envoy does.
    ///
    /// # Errors
    /// If there is no such file, or it traps.
    pub fn start() -> Result<Self> {
        let file = std::env::var_os("INFERTALLY_WASM").ok_or("INFERTALLY_WASM is not set: run `make test`")?;
        Self::load(Path::new(&file))
    }

    fn load(file: &Path) -> Result<Self> {
        let mut config = Config::default();
        config
            .consume_fuel(true)
            .compilation_mode(wasmi::CompilationMode::Eager);
        let engine = Engine::new(&config);
        let module = Module::new(&engine, std::fs::read(file)?)?;
        let mut store = Store::new(&engine, Host::default());
        store.set_fuel(FUEL)?;
        let mut linker = Linker::new(&engine);
        define(&mut linker)?;
        let instance = linker.instantiate_and_start(&mut store, &module)?;
        let mut vm = Self {
            store,
            instance,
            callbacks: BTreeMap::new(),
        };
        vm.callback("_initialize", &[])?;
        vm.callback("proxy_on_context_create", &[ROOT, 0])?;
        vm.callback("proxy_on_configure", &[ROOT, 0])?;
        Ok(vm)
    }

    /// What `work` costs.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn costs(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<Costs> {
        self.callbacks.clear();
        self.store.data_mut().calls.clear();
        let before = self.store.get_fuel()?;
        work(self)?;
        Ok(Costs {
            callbacks: std::mem::take(&mut self.callbacks),
            host_calls: std::mem::take(&mut self.store.data_mut().calls),
            fuel: before - self.store.get_fuel()?,
        })
    }

    /// Envoy's timer.
    ///
    /// # Errors
    /// If the filter traps.
    pub fn tick(&mut self) -> Result<()> {
        self.callback("proxy_on_tick", &[ROOT])
    }

    /// Envoy forgets a stream without logging it.
    ///
    /// # Errors
    /// If the filter traps.
    pub fn delete(&mut self, stream: u32) -> Result<()> {
        self.callback("proxy_on_done", &[stream])?;
        self.callback("proxy_on_delete", &[stream])
    }

    /// Envoy removes the plugin, while streams may be open.
    ///
    /// # Errors
    /// If the filter traps.
    pub fn delete_root(&mut self) -> Result<()> {
        self.delete(ROOT)
    }

    /// Lets time pass.
    pub fn pass(&mut self, nanoseconds: u64) {
        self.store.data_mut().now_ns += nanoseconds;
    }

    /// The value of a stat; 0 if there is none.
    pub fn stat(&self, name: &str) -> i64 {
        let mut stats = self.store.data().stats.iter();
        stats.find(|(known, _)| known == name).map_or(0, |(_, value)| *value)
    }

    /// The filter's lines in Envoy's log.
    pub fn log(&self) -> &[String] {
        &self.store.data().log
    }

    /// Size of the VM's linear memory, in bytes.
    ///
    /// # Errors
    /// If it has none.
    pub fn memory_bytes(&self) -> Result<usize> {
        let memory = self.instance.get_memory(&self.store, "memory").ok_or("no memory")?;
        Ok(memory.data_size(&self.store))
    }

    pub(crate) fn host(&mut self) -> &mut Host {
        self.store.data_mut()
    }

    /// Enters the VM, unless it does not export the callback.
    pub(crate) fn callback(&mut self, name: &'static str, arguments: &[u32]) -> Result<()> {
        let Some(function) = self.instance.get_func(&self.store, name) else {
            return Ok(());
        };
        *self.callbacks.entry(name).or_default() += 1;
        let arguments: Vec<_> = arguments
            .iter()
            .map(|number| wasmi::Val::from(*number as i32))
            .collect();
        let results = function.ty(&self.store).results().len();
        let mut results = vec![wasmi::Val::I32(0); results];
        function
            .call(&mut self.store, &arguments, &mut results)
            .map_err(|error| format!("{name}: {error}; its log: {:?}", self.store.data().log))?;
        match (name, results.first()) {
            (name, Some(wasmi::Val::I32(result)))
                if !["proxy_on_configure", "proxy_on_done"].contains(&name) && *result != 0 =>
            {
                Err(format!("{name} returned {result}").into())
            }
            _ => Ok(()),
        }
    }
}

fn memory(caller: &Caller<'_, Host>) -> Result<Memory> {
    let memory = caller.get_export("memory").and_then(Extern::into_memory);
    memory.ok_or_else(|| "the filter exports no memory".into())
}

fn read(caller: &Caller<'_, Host>, at: u32, size: u32) -> Result<Vec<u8>> {
    let mut bytes = vec![0; size as usize];
    memory(caller)?.read(caller, at as usize, &mut bytes)?;
    Ok(bytes)
}

fn write(caller: &mut Caller<'_, Host>, at: u32, bytes: &[u8]) -> Result<()> {
    memory(caller)?.write(caller, at as usize, bytes)?;
    Ok(())
}

/// Returns a value the way Envoy does: it has the filter allocate a buffer, which is a crossing of its own.
fn give(caller: &mut Caller<'_, Host>, bytes: &[u8], data: u32, length: u32) -> Result<()> {
    let mut address = 0;
    if !bytes.is_empty() {
        *caller
            .data_mut()
            .calls
            .entry("(allocate a returned value)")
            .or_default() += 1;
        let allocate = caller
            .get_export("proxy_on_memory_allocate")
            .and_then(Extern::into_func);
        let allocate = allocate.ok_or("the filter exports no allocator")?;
        address = allocate
            .typed::<u32, u32>(&*caller)?
            .call(&mut *caller, bytes.len() as u32)?;
        write(caller, address, bytes)?;
    }
    write(caller, data, &address.to_le_bytes())?;
    write(caller, length, &(bytes.len() as u32).to_le_bytes())
}

fn trap(error: crate::Error) -> wasmi::Error {
    wasmi::Error::new(error.to_string())
}

/// Counts a host call and runs it.
fn called(
    mut caller: Caller<'_, Host>,
    name: &'static str,
    run: impl FnOnce(&mut Caller<'_, Host>) -> Result<u32>,
) -> std::result::Result<u32, wasmi::Error> {
    *caller.data_mut().calls.entry(name).or_default() += 1;
    run(&mut caller).map_err(trap)
}

/// All host functions that the filter imports.
fn define(linker: &mut Linker<Host>) -> Result<()> {
    define_time_and_log(linker)?;
    define_messages(linker)?;
    define_shared_data(linker)?;
    define_stats(linker)
}

fn define_time_and_log(linker: &mut Linker<Host>) -> Result<()> {
    linker.func_wrap(
        "wasi_snapshot_preview1",
        "clock_time_get",
        |caller: Caller<'_, Host>, _clock: u32, _precision: u64, at: u32| {
            called(caller, "clock_time_get", |caller| {
                let now_ns = caller.data().now_ns;
                write(caller, at, &now_ns.to_le_bytes())?;
                Ok(OK)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_log",
        |caller: Caller<'_, Host>, _level: u32, text: u32, size: u32| {
            called(caller, "proxy_log", |caller| {
                let line = read(caller, text, size)?;
                caller.data_mut().log.push(String::from_utf8_lossy(&line).into_owned());
                Ok(OK)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_tick_period_milliseconds",
        |caller: Caller<'_, Host>, _period: u32| called(caller, "proxy_set_tick_period_milliseconds", |_| Ok(OK)),
    )?;
    Ok(())
}

fn define_messages(linker: &mut Linker<Host>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_buffer_bytes",
        |caller: Caller<'_, Host>, _buffer: u32, start: u32, size: u32, data: u32, length: u32| {
            called(caller, "proxy_get_buffer_bytes", |caller| {
                let buffer = &caller.data().buffer;
                let end = buffer.len().min((start + size) as usize);
                let bytes = buffer.get(start as usize..end).unwrap_or_default().to_vec();
                give(caller, &bytes, data, length)?;
                Ok(OK)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_header_map_value",
        |caller: Caller<'_, Host>, map: u32, key: u32, size: u32, data: u32, length: u32| {
            called(caller, "proxy_get_header_map_value", |caller| {
                let key = read(caller, key, size)?;
                let mut headers = caller.data().headers.get(&map).into_iter().flatten();
                let value = headers.find(|(name, _)| name.as_bytes() == key);
                let Some(value) = value.map(|(_, value)| value.clone()) else {
                    return Ok(NOT_FOUND);
                };
                give(caller, value.as_bytes(), data, length)?;
                Ok(OK)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_property",
        |caller: Caller<'_, Host>, _path: u32, _size: u32, _data: u32, _length: u32| {
            called(caller, "proxy_get_property", |_| Ok(NOT_FOUND))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_property",
        |caller: Caller<'_, Host>, _path: u32, _path_size: u32, _value: u32, _size: u32| {
            called(caller, "proxy_set_property", |_| Ok(OK))
        },
    )?;
    Ok(())
}

fn define_shared_data(linker: &mut Linker<Host>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_shared_data",
        |caller: Caller<'_, Host>, key: u32, size: u32, data: u32, length: u32, version: u32| {
            called(caller, "proxy_get_shared_data", |caller| {
                let key = read(caller, key, size)?;
                let Some((value, known)) = caller.data().shared.get(&key).cloned() else {
                    return Ok(NOT_FOUND);
                };
                give(caller, &value, data, length)?;
                write(caller, version, &known.to_le_bytes())?;
                Ok(OK)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_shared_data",
        |caller: Caller<'_, Host>, key: u32, key_size: u32, value: u32, size: u32, version: u32| {
            called(caller, "proxy_set_shared_data", |caller| {
                let (key, value) = (read(caller, key, key_size)?, read(caller, value, size)?);
                let shared = &mut caller.data_mut().shared;
                let known = shared.get(&key).map(|(_, known)| *known);
                if known.is_some_and(|known| version != 0 && known != version) {
                    return Ok(CAS_MISMATCH);
                }
                shared.insert(key, (value, known.unwrap_or_default() + 1));
                Ok(OK)
            })
        },
    )?;
    Ok(())
}

fn define_stats(linker: &mut Linker<Host>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_define_metric",
        |caller: Caller<'_, Host>, _kind: u32, name: u32, size: u32, id: u32| {
            called(caller, "proxy_define_metric", |caller| {
                let name = String::from_utf8(read(caller, name, size)?)?;
                let stats = &mut caller.data_mut().stats;
                let at = stats
                    .iter()
                    .position(|(known, _)| *known == name)
                    .unwrap_or(stats.len());
                if at == stats.len() {
                    stats.push((name, 0));
                }
                write(caller, id, &(at as u32).to_le_bytes())?;
                Ok(OK)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_increment_metric",
        |caller: Caller<'_, Host>, id: u32, delta: i64| {
            called(caller, "proxy_increment_metric", |caller| {
                let stat = caller.data_mut().stats.get_mut(id as usize).ok_or("an unknown stat")?;
                stat.1 += delta;
                Ok(OK)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_record_metric",
        |caller: Caller<'_, Host>, id: u32, value: u64| {
            called(caller, "proxy_record_metric", |caller| {
                let stat = caller.data_mut().stats.get_mut(id as usize).ok_or("an unknown stat")?;
                stat.1 = value as i64;
                Ok(OK)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_metric",
        |caller: Caller<'_, Host>, id: u32, at: u32| {
            called(caller, "proxy_get_metric", |caller| {
                let value = caller.data().stats.get(id as usize).ok_or("an unknown stat")?.1;
                write(caller, at, &value.to_le_bytes())?;
                Ok(OK)
            })
        },
    )?;
    Ok(())
}
