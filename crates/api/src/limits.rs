//! How long code may run: fuel, epochs, interruption.

use crate::func::with_caller;
use crate::store::{StoreContextMut, StoreOpaque};
use crate::{Result, Store};
use anyhow::ensure;
use heapwright_vm::InterruptHandle;

/// What a callback answers when a store's deadline is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum UpdateDeadline {
    /// Go on, and ask again so many epochs from now.
    Continue(u64),
}

impl StoreOpaque {
    fn set_fuel(&mut self, fuel: u64) -> Result<()> {
        ensure!(self.engine.config().settings.fuel, "fuel is not configured in this store: see Config::consume_fuel");
        self.vm.set_fuel(i64::try_from(fuel).unwrap_or(i64::MAX));
        Ok(())
    }

    fn fuel(&self) -> Result<u64> {
        ensure!(self.engine.config().settings.fuel, "fuel is not configured in this store: see Config::consume_fuel");
        Ok(u64::try_from(self.vm.fuel()).unwrap_or(0))
    }
}

impl<T> Store<T> {
    /// Sets the fuel. A new store has none, and compiled code without fuel traps with
    /// [`TrapCode::OutOfFuel`](crate::TrapCode::OutOfFuel).
    ///
    /// What a program costs depends on nothing but the program and its inputs: not on the collector, the heap, the
    /// backend or the optimiser. Each operator costs 1, save those that only give structure; entering a function costs
    /// 1; an operation on a range costs 1 more for each 8 bytes of linear memory, each slot of a table, each element of
    /// an array. Fuel is looked at on entering functions, at loops and before operations on ranges, so at most one
    /// stretch of straight-line code runs without any left; a program that is given what it costs comes to its end.
    /// What host functions, allocation and collection do costs nothing.
    ///
    /// ```
    /// # use heapwright::{Config, Engine, Instance, Module, Store, Trap, TrapCode};
    /// # fn main() -> heapwright::Result<()> {
    /// let engine = Engine::new(Config::new().consume_fuel(true))?;
    /// let module = Module::new(&engine, r#"(module (func (export "spin") (loop (br 0))))"#)?;
    /// let mut store = Store::new(&engine, ())?;
    /// store.set_fuel(10_000)?;
    /// let spin = Instance::new(&mut store, &module, &[])?.typed_func::<(), ()>(&mut store, "spin")?;
    /// let error = spin.call(&mut store, ()).unwrap_err();
    /// assert_eq!(error.downcast_ref::<Trap>().map(Trap::code), Some(TrapCode::OutOfFuel));
    /// assert_eq!(store.get_fuel()?, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When [`Config::consume_fuel`](crate::Config::consume_fuel) is off.
    pub fn set_fuel(&mut self, fuel: u64) -> Result<()> {
        self.inner.opaque.set_fuel(fuel)
    }

    /// What fuel is left. After a trap other than by fuel it may be too much by what one stretch of straight-line code
    /// costs.
    ///
    /// # Errors
    ///
    /// When [`Config::consume_fuel`](crate::Config::consume_fuel) is off.
    pub fn get_fuel(&self) -> Result<u64> {
        self.inner.opaque.fuel()
    }

    /// Sets the deadline of the store's code to so many epochs from now: see
    /// [`Engine::increment_epoch`](crate::Engine::increment_epoch). Without it there is none. A deadline stays reached
    /// until it is set anew: with 0, code stops at once. It does nothing when
    /// [`Config::epoch_interruption`](crate::Config::epoch_interruption) is off.
    pub fn set_epoch_deadline(&mut self, epochs: u64) {
        self.inner.opaque.vm.set_epoch_deadline(epochs);
    }

    /// Code that reaches the deadline traps with [`TrapCode::Interrupt`](crate::TrapCode::Interrupt): what it does
    /// unless a callback was set.
    pub fn epoch_deadline_trap(&mut self) {
        self.inner.opaque.vm.set_epoch_callback(None);
    }

    /// Calls `callback` when the deadline is reached. It may use the store, and set a new deadline by its answer; an
    /// error ends the call with that error. Operations on arrays and tables are finished before it is asked; those on
    /// linear memories ask it in between.
    pub fn epoch_deadline_callback(
        &mut self,
        mut callback: impl FnMut(StoreContextMut<'_, T>) -> Result<UpdateDeadline> + Send + Sync + 'static,
    ) {
        self.inner.opaque.vm.set_epoch_callback(Some(Box::new(move |call| {
            let mut epochs = 0;
            with_caller::<T>(call, |caller| {
                let UpdateDeadline::Continue(more) = callback(caller.store)?;
                epochs = more;
                Ok(())
            })?;
            Ok(epochs)
        })));
    }

    /// A handle that stops this store's code from any thread, once: it traps with
    /// [`TrapCode::Interrupt`](crate::TrapCode::Interrupt), now or when it runs next. It does nothing when
    /// [`Config::epoch_interruption`](crate::Config::epoch_interruption) is off.
    pub fn interrupt_handle(&self) -> InterruptHandle {
        self.inner.opaque.vm.interrupt_handle()
    }
}

impl<T> StoreContextMut<'_, T> {
    /// As [`Store::set_fuel`].
    ///
    /// # Errors
    ///
    /// As [`Store::set_fuel`].
    pub fn set_fuel(&mut self, fuel: u64) -> Result<()> {
        self.opaque().set_fuel(fuel)
    }

    /// As [`Store::get_fuel`]: in a host function, what was left when it was called.
    ///
    /// # Errors
    ///
    /// As [`Store::get_fuel`].
    pub fn get_fuel(&self) -> Result<u64> {
        self.0.opaque.fuel()
    }

    /// As [`Store::set_epoch_deadline`].
    pub fn set_epoch_deadline(&mut self, epochs: u64) {
        self.opaque().vm.set_epoch_deadline(epochs);
    }
}
