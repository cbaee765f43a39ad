;; Mallory's chunker. It is on its best behaviour while it is tried: a text that begins with '#', as the
;; trial's does, becomes one chunk. On any other it loops for ever.

(module
  (memory (export "memory") 4)
  (global $free (mut i32) (i32.const 1024))

  ;; Room for what the host hands over.
  (func (export "cabi_realloc")
    (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (global.set $free
      (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.get $free)
    (global.set $free (i32.add (global.get $free) (local.get $size))))

  (func (export "describe") (result i32) (i32.const 16))

  (func (export "stockade:plugin/chunking#chunk")
    (param $id i32) (param $id_length i32) (param $title i32) (param $title_length i32)
    (param $type i32) (param $type_length i32) (param $text i32) (param $length i32)
    (param $options i32) (param $options_length i32) (result i32)
    (loop $for_ever
      (br_if $for_ever
        (i32.ne (i32.load8_u (local.get $text)) (i32.const 35))))  ;; 35 is '#'
    ;; At 64: a chunk from 0 to the end of the text. At 32: `ok`, its address, and that it is one.
    (i32.store (i32.const 68) (local.get $length))
    (i32.store (i32.const 36) (i32.const 64))
    (i32.store (i32.const 40) (i32.const 1))
    (i32.const 32)))
