//! Where everything meets: the store, its threads, the subscribers and the control socket.
