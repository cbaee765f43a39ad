;; The chunker that globex brings to the demo: a chunk for each paragraph, short ones joined until they
;; hold 200 bytes. It is a whole plugin: the demo makes a component of it, and `stockade plugin install`
;; checks and tries it like any stranger's.

(module
  ;; Below 1024: what is returned. Above: what the host hands over, then the chunks.
  (memory (export "memory") 1)
  (global $free (mut i32) (i32.const 1024))

  ;; Room for `$size` bytes. Nothing is given back: the memory lives as long as this one call.
  (func $room (export "cabi_realloc")
    (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at
      (i32.and
        (i32.add (global.get $free) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
    (global.set $free (i32.add (local.get $at) (local.get $size)))
    (block $enough
      (loop $grow
        (br_if $enough
          (i32.le_u (global.get $free) (i32.mul (memory.size) (i32.const 65536))))
        (br_if $grow (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))
        (unreachable)))
    (local.get $at))

  ;; No options: an empty list, in bytes that are still zero.
  (func (export "describe") (result i32) (i32.const 16))

  ;; A chunk is 16 bytes: start, end, and an empty list of labels.
  (func $emit (param $start i32) (param $end i32)
    (local $chunk i32)
    (local.set $chunk
      (call $room (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 16)))
    (i32.store (local.get $chunk) (local.get $start))
    (i32.store offset=4 (local.get $chunk) (local.get $end))
    ;; The first chunk's address and the number of chunks are part of the result.
    (if (i32.eqz (i32.load (i32.const 36)))
      (then (i32.store (i32.const 36) (local.get $chunk))))
    (i32.store (i32.const 40) (i32.add (i32.load (i32.const 40)) (i32.const 1))))

  ;; Whether an empty line begins at this address, and the paragraph before it is long enough.
  (func $ends (param $at i32) (param $length i32) (result i32)
    (i32.and
      (i32.eq (i32.load16_u (local.get $at)) (i32.const 0x0a0a))
      (i32.ge_u (local.get $length) (i32.const 200))))

  (func (export "stockade:plugin/chunking#chunk")
    (param $id i32) (param $id_length i32) (param $title i32) (param $title_length i32)
    (param $type i32) (param $type_length i32) (param $text i32) (param $length i32)
    (param $options i32) (param $options_length i32) (result i32)
    (local $start i32) (local $at i32)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (i32.add (local.get $at) (i32.const 1)) (local.get $length)))
        (if
          (call $ends
            (i32.add (local.get $text) (local.get $at))
            (i32.sub (local.get $at) (local.get $start)))
          (then
            (call $emit (local.get $start) (local.get $at))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (local.set $start (i32.add (local.get $at) (i32.const 1)))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (if (i32.lt_u (local.get $start) (local.get $length))
      (then (call $emit (local.get $start) (local.get $length))))
    ;; At 32: `ok`, the chunks' address, their number.
    (i32.const 32)))
