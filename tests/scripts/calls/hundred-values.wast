;; A hundred parameters and a hundred results of mixed types, references among them, through each kind of call, with a collection before
;; they are used.

(module
  (import "wasmtime" "gc" (func $gc))
  (type $box (struct (field i32)))
  (type $many (func
    (param
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32)
    (result
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32)))
  (type $give (func
    (result
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32)))
  (func $box (param i32) (result (ref $box)) (struct.new $box (local.get 0)))
  (table $t funcref (elem $same $reverse))
  ;; The parameters as they are.
  (func $same (type $many)
    (call $gc)
    (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5) (local.get 6) (local.get 7)
    (local.get 8) (local.get 9) (local.get 10) (local.get 11) (local.get 12) (local.get 13) (local.get 14) (local.get 15)
    (local.get 16) (local.get 17) (local.get 18) (local.get 19) (local.get 20) (local.get 21) (local.get 22) (local.get 23)
    (local.get 24) (local.get 25) (local.get 26) (local.get 27) (local.get 28) (local.get 29) (local.get 30) (local.get 31)
    (local.get 32) (local.get 33) (local.get 34) (local.get 35) (local.get 36) (local.get 37) (local.get 38) (local.get 39)
    (local.get 40) (local.get 41) (local.get 42) (local.get 43) (local.get 44) (local.get 45) (local.get 46) (local.get 47)
    (local.get 48) (local.get 49) (local.get 50) (local.get 51) (local.get 52) (local.get 53) (local.get 54) (local.get 55)
    (local.get 56) (local.get 57) (local.get 58) (local.get 59) (local.get 60) (local.get 61) (local.get 62) (local.get 63)
    (local.get 64) (local.get 65) (local.get 66) (local.get 67) (local.get 68) (local.get 69) (local.get 70) (local.get 71)
    (local.get 72) (local.get 73) (local.get 74) (local.get 75) (local.get 76) (local.get 77) (local.get 78) (local.get 79)
    (local.get 80) (local.get 81) (local.get 82) (local.get 83) (local.get 84) (local.get 85) (local.get 86) (local.get 87)
    (local.get 88) (local.get 89) (local.get 90) (local.get 91) (local.get 92) (local.get 93) (local.get 94) (local.get 95)
    (local.get 96) (local.get 97) (local.get 98) (local.get 99))
  ;; Those of each type in reverse.
  (func $reverse (type $many)
    (call $gc)
    (local.get 95) (local.get 96) (local.get 97) (local.get 98) (local.get 99) (local.get 90) (local.get 91) (local.get 92)
    (local.get 93) (local.get 94) (local.get 85) (local.get 86) (local.get 87) (local.get 88) (local.get 89) (local.get 80)
    (local.get 81) (local.get 82) (local.get 83) (local.get 84) (local.get 75) (local.get 76) (local.get 77) (local.get 78)
    (local.get 79) (local.get 70) (local.get 71) (local.get 72) (local.get 73) (local.get 74) (local.get 65) (local.get 66)
    (local.get 67) (local.get 68) (local.get 69) (local.get 60) (local.get 61) (local.get 62) (local.get 63) (local.get 64)
    (local.get 55) (local.get 56) (local.get 57) (local.get 58) (local.get 59) (local.get 50) (local.get 51) (local.get 52)
    (local.get 53) (local.get 54) (local.get 45) (local.get 46) (local.get 47) (local.get 48) (local.get 49) (local.get 40)
    (local.get 41) (local.get 42) (local.get 43) (local.get 44) (local.get 35) (local.get 36) (local.get 37) (local.get 38)
    (local.get 39) (local.get 30) (local.get 31) (local.get 32) (local.get 33) (local.get 34) (local.get 25) (local.get 26)
    (local.get 27) (local.get 28) (local.get 29) (local.get 20) (local.get 21) (local.get 22) (local.get 23) (local.get 24)
    (local.get 15) (local.get 16) (local.get 17) (local.get 18) (local.get 19) (local.get 10) (local.get 11) (local.get 12)
    (local.get 13) (local.get 14) (local.get 5) (local.get 6) (local.get 7) (local.get 8) (local.get 9) (local.get 0)
    (local.get 1) (local.get 2) (local.get 3) (local.get 4))
  (func $give (type $give)
    (i32.const 0) (call $box (i32.const 1)) (f64.const 2) (i64.const 3)
    (f32.const 4) (i32.const 5) (call $box (i32.const 6)) (f64.const 7)
    (i64.const 8) (f32.const 9) (i32.const 10) (call $box (i32.const 11))
    (f64.const 12) (i64.const 13) (f32.const 14) (i32.const 15)
    (call $box (i32.const 16)) (f64.const 17) (i64.const 18) (f32.const 19)
    (i32.const 20) (call $box (i32.const 21)) (f64.const 22) (i64.const 23)
    (f32.const 24) (i32.const 25) (call $box (i32.const 26)) (f64.const 27)
    (i64.const 28) (f32.const 29) (i32.const 30) (call $box (i32.const 31))
    (f64.const 32) (i64.const 33) (f32.const 34) (i32.const 35)
    (call $box (i32.const 36)) (f64.const 37) (i64.const 38) (f32.const 39)
    (i32.const 40) (call $box (i32.const 41)) (f64.const 42) (i64.const 43)
    (f32.const 44) (i32.const 45) (call $box (i32.const 46)) (f64.const 47)
    (i64.const 48) (f32.const 49) (i32.const 50) (call $box (i32.const 51))
    (f64.const 52) (i64.const 53) (f32.const 54) (i32.const 55)
    (call $box (i32.const 56)) (f64.const 57) (i64.const 58) (f32.const 59)
    (i32.const 60) (call $box (i32.const 61)) (f64.const 62) (i64.const 63)
    (f32.const 64) (i32.const 65) (call $box (i32.const 66)) (f64.const 67)
    (i64.const 68) (f32.const 69) (i32.const 70) (call $box (i32.const 71))
    (f64.const 72) (i64.const 73) (f32.const 74) (i32.const 75)
    (call $box (i32.const 76)) (f64.const 77) (i64.const 78) (f32.const 79)
    (i32.const 80) (call $box (i32.const 81)) (f64.const 82) (i64.const 83)
    (f32.const 84) (i32.const 85) (call $box (i32.const 86)) (f64.const 87)
    (i64.const 88) (f32.const 89) (i32.const 90) (call $box (i32.const 91))
    (f64.const 92) (i64.const 93) (f32.const 94) (i32.const 95)
    (call $box (i32.const 96)) (f64.const 97) (i64.const 98) (f32.const 99))
  ;; The sum of (i + 1) × value i.
  (func $digest (param
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32)
    (result i64)
    (i64.const 0)
    (i64.add (i64.mul (i64.const 1) (i64.extend_i32_s (local.get 0))))
    (i64.add (i64.mul (i64.const 2) (i64.extend_i32_s (struct.get $box 0 (local.get 1)))))
    (i64.add (i64.mul (i64.const 3) (i64.trunc_f64_s (local.get 2))))
    (i64.add (i64.mul (i64.const 4) (local.get 3)))
    (i64.add (i64.mul (i64.const 5) (i64.trunc_f32_s (local.get 4))))
    (i64.add (i64.mul (i64.const 6) (i64.extend_i32_s (local.get 5))))
    (i64.add (i64.mul (i64.const 7) (i64.extend_i32_s (struct.get $box 0 (local.get 6)))))
    (i64.add (i64.mul (i64.const 8) (i64.trunc_f64_s (local.get 7))))
    (i64.add (i64.mul (i64.const 9) (local.get 8)))
    (i64.add (i64.mul (i64.const 10) (i64.trunc_f32_s (local.get 9))))
    (i64.add (i64.mul (i64.const 11) (i64.extend_i32_s (local.get 10))))
    (i64.add (i64.mul (i64.const 12) (i64.extend_i32_s (struct.get $box 0 (local.get 11)))))
    (i64.add (i64.mul (i64.const 13) (i64.trunc_f64_s (local.get 12))))
    (i64.add (i64.mul (i64.const 14) (local.get 13)))
    (i64.add (i64.mul (i64.const 15) (i64.trunc_f32_s (local.get 14))))
    (i64.add (i64.mul (i64.const 16) (i64.extend_i32_s (local.get 15))))
    (i64.add (i64.mul (i64.const 17) (i64.extend_i32_s (struct.get $box 0 (local.get 16)))))
    (i64.add (i64.mul (i64.const 18) (i64.trunc_f64_s (local.get 17))))
    (i64.add (i64.mul (i64.const 19) (local.get 18)))
    (i64.add (i64.mul (i64.const 20) (i64.trunc_f32_s (local.get 19))))
    (i64.add (i64.mul (i64.const 21) (i64.extend_i32_s (local.get 20))))
    (i64.add (i64.mul (i64.const 22) (i64.extend_i32_s (struct.get $box 0 (local.get 21)))))
    (i64.add (i64.mul (i64.const 23) (i64.trunc_f64_s (local.get 22))))
    (i64.add (i64.mul (i64.const 24) (local.get 23)))
    (i64.add (i64.mul (i64.const 25) (i64.trunc_f32_s (local.get 24))))
    (i64.add (i64.mul (i64.const 26) (i64.extend_i32_s (local.get 25))))
    (i64.add (i64.mul (i64.const 27) (i64.extend_i32_s (struct.get $box 0 (local.get 26)))))
    (i64.add (i64.mul (i64.const 28) (i64.trunc_f64_s (local.get 27))))
    (i64.add (i64.mul (i64.const 29) (local.get 28)))
    (i64.add (i64.mul (i64.const 30) (i64.trunc_f32_s (local.get 29))))
    (i64.add (i64.mul (i64.const 31) (i64.extend_i32_s (local.get 30))))
    (i64.add (i64.mul (i64.const 32) (i64.extend_i32_s (struct.get $box 0 (local.get 31)))))
    (i64.add (i64.mul (i64.const 33) (i64.trunc_f64_s (local.get 32))))
    (i64.add (i64.mul (i64.const 34) (local.get 33)))
    (i64.add (i64.mul (i64.const 35) (i64.trunc_f32_s (local.get 34))))
    (i64.add (i64.mul (i64.const 36) (i64.extend_i32_s (local.get 35))))
    (i64.add (i64.mul (i64.const 37) (i64.extend_i32_s (struct.get $box 0 (local.get 36)))))
    (i64.add (i64.mul (i64.const 38) (i64.trunc_f64_s (local.get 37))))
    (i64.add (i64.mul (i64.const 39) (local.get 38)))
    (i64.add (i64.mul (i64.const 40) (i64.trunc_f32_s (local.get 39))))
    (i64.add (i64.mul (i64.const 41) (i64.extend_i32_s (local.get 40))))
    (i64.add (i64.mul (i64.const 42) (i64.extend_i32_s (struct.get $box 0 (local.get 41)))))
    (i64.add (i64.mul (i64.const 43) (i64.trunc_f64_s (local.get 42))))
    (i64.add (i64.mul (i64.const 44) (local.get 43)))
    (i64.add (i64.mul (i64.const 45) (i64.trunc_f32_s (local.get 44))))
    (i64.add (i64.mul (i64.const 46) (i64.extend_i32_s (local.get 45))))
    (i64.add (i64.mul (i64.const 47) (i64.extend_i32_s (struct.get $box 0 (local.get 46)))))
    (i64.add (i64.mul (i64.const 48) (i64.trunc_f64_s (local.get 47))))
    (i64.add (i64.mul (i64.const 49) (local.get 48)))
    (i64.add (i64.mul (i64.const 50) (i64.trunc_f32_s (local.get 49))))
    (i64.add (i64.mul (i64.const 51) (i64.extend_i32_s (local.get 50))))
    (i64.add (i64.mul (i64.const 52) (i64.extend_i32_s (struct.get $box 0 (local.get 51)))))
    (i64.add (i64.mul (i64.const 53) (i64.trunc_f64_s (local.get 52))))
    (i64.add (i64.mul (i64.const 54) (local.get 53)))
    (i64.add (i64.mul (i64.const 55) (i64.trunc_f32_s (local.get 54))))
    (i64.add (i64.mul (i64.const 56) (i64.extend_i32_s (local.get 55))))
    (i64.add (i64.mul (i64.const 57) (i64.extend_i32_s (struct.get $box 0 (local.get 56)))))
    (i64.add (i64.mul (i64.const 58) (i64.trunc_f64_s (local.get 57))))
    (i64.add (i64.mul (i64.const 59) (local.get 58)))
    (i64.add (i64.mul (i64.const 60) (i64.trunc_f32_s (local.get 59))))
    (i64.add (i64.mul (i64.const 61) (i64.extend_i32_s (local.get 60))))
    (i64.add (i64.mul (i64.const 62) (i64.extend_i32_s (struct.get $box 0 (local.get 61)))))
    (i64.add (i64.mul (i64.const 63) (i64.trunc_f64_s (local.get 62))))
    (i64.add (i64.mul (i64.const 64) (local.get 63)))
    (i64.add (i64.mul (i64.const 65) (i64.trunc_f32_s (local.get 64))))
    (i64.add (i64.mul (i64.const 66) (i64.extend_i32_s (local.get 65))))
    (i64.add (i64.mul (i64.const 67) (i64.extend_i32_s (struct.get $box 0 (local.get 66)))))
    (i64.add (i64.mul (i64.const 68) (i64.trunc_f64_s (local.get 67))))
    (i64.add (i64.mul (i64.const 69) (local.get 68)))
    (i64.add (i64.mul (i64.const 70) (i64.trunc_f32_s (local.get 69))))
    (i64.add (i64.mul (i64.const 71) (i64.extend_i32_s (local.get 70))))
    (i64.add (i64.mul (i64.const 72) (i64.extend_i32_s (struct.get $box 0 (local.get 71)))))
    (i64.add (i64.mul (i64.const 73) (i64.trunc_f64_s (local.get 72))))
    (i64.add (i64.mul (i64.const 74) (local.get 73)))
    (i64.add (i64.mul (i64.const 75) (i64.trunc_f32_s (local.get 74))))
    (i64.add (i64.mul (i64.const 76) (i64.extend_i32_s (local.get 75))))
    (i64.add (i64.mul (i64.const 77) (i64.extend_i32_s (struct.get $box 0 (local.get 76)))))
    (i64.add (i64.mul (i64.const 78) (i64.trunc_f64_s (local.get 77))))
    (i64.add (i64.mul (i64.const 79) (local.get 78)))
    (i64.add (i64.mul (i64.const 80) (i64.trunc_f32_s (local.get 79))))
    (i64.add (i64.mul (i64.const 81) (i64.extend_i32_s (local.get 80))))
    (i64.add (i64.mul (i64.const 82) (i64.extend_i32_s (struct.get $box 0 (local.get 81)))))
    (i64.add (i64.mul (i64.const 83) (i64.trunc_f64_s (local.get 82))))
    (i64.add (i64.mul (i64.const 84) (local.get 83)))
    (i64.add (i64.mul (i64.const 85) (i64.trunc_f32_s (local.get 84))))
    (i64.add (i64.mul (i64.const 86) (i64.extend_i32_s (local.get 85))))
    (i64.add (i64.mul (i64.const 87) (i64.extend_i32_s (struct.get $box 0 (local.get 86)))))
    (i64.add (i64.mul (i64.const 88) (i64.trunc_f64_s (local.get 87))))
    (i64.add (i64.mul (i64.const 89) (local.get 88)))
    (i64.add (i64.mul (i64.const 90) (i64.trunc_f32_s (local.get 89))))
    (i64.add (i64.mul (i64.const 91) (i64.extend_i32_s (local.get 90))))
    (i64.add (i64.mul (i64.const 92) (i64.extend_i32_s (struct.get $box 0 (local.get 91)))))
    (i64.add (i64.mul (i64.const 93) (i64.trunc_f64_s (local.get 92))))
    (i64.add (i64.mul (i64.const 94) (local.get 93)))
    (i64.add (i64.mul (i64.const 95) (i64.trunc_f32_s (local.get 94))))
    (i64.add (i64.mul (i64.const 96) (i64.extend_i32_s (local.get 95))))
    (i64.add (i64.mul (i64.const 97) (i64.extend_i32_s (struct.get $box 0 (local.get 96)))))
    (i64.add (i64.mul (i64.const 98) (i64.trunc_f64_s (local.get 97))))
    (i64.add (i64.mul (i64.const 99) (local.get 98)))
    (i64.add (i64.mul (i64.const 100) (i64.trunc_f32_s (local.get 99)))))
  (elem declare func $same $reverse $give)
  (func (export "give") (result i64) (call $give) (call $gc) (call $digest))
  (func (export "same") (result i64) (call $give) (call $same) (call $digest))
  (func (export "reverse") (result i64) (call $give) (call $reverse) (call $gc) (call $digest))
  (func (export "twice") (result i64) (call $give) (call $reverse) (call $reverse) (call $digest))
  (func (export "indirect") (param i32) (result i64)
    (call $give) (call_indirect $t (type $many) (local.get 0)) (call $digest))
  (func (export "ref") (result i64) (call $give) (call_ref $many (ref.func $reverse)) (call $digest))
  (func $tail (type $many)
    (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5) (local.get 6) (local.get 7)
    (local.get 8) (local.get 9) (local.get 10) (local.get 11) (local.get 12) (local.get 13) (local.get 14) (local.get 15)
    (local.get 16) (local.get 17) (local.get 18) (local.get 19) (local.get 20) (local.get 21) (local.get 22) (local.get 23)
    (local.get 24) (local.get 25) (local.get 26) (local.get 27) (local.get 28) (local.get 29) (local.get 30) (local.get 31)
    (local.get 32) (local.get 33) (local.get 34) (local.get 35) (local.get 36) (local.get 37) (local.get 38) (local.get 39)
    (local.get 40) (local.get 41) (local.get 42) (local.get 43) (local.get 44) (local.get 45) (local.get 46) (local.get 47)
    (local.get 48) (local.get 49) (local.get 50) (local.get 51) (local.get 52) (local.get 53) (local.get 54) (local.get 55)
    (local.get 56) (local.get 57) (local.get 58) (local.get 59) (local.get 60) (local.get 61) (local.get 62) (local.get 63)
    (local.get 64) (local.get 65) (local.get 66) (local.get 67) (local.get 68) (local.get 69) (local.get 70) (local.get 71)
    (local.get 72) (local.get 73) (local.get 74) (local.get 75) (local.get 76) (local.get 77) (local.get 78) (local.get 79)
    (local.get 80) (local.get 81) (local.get 82) (local.get 83) (local.get 84) (local.get 85) (local.get 86) (local.get 87)
    (local.get 88) (local.get 89) (local.get 90) (local.get 91) (local.get 92) (local.get 93) (local.get 94) (local.get 95)
    (local.get 96) (local.get 97) (local.get 98) (local.get 99)
    (return_call $reverse))
  (func (export "tail") (result i64) (call $give) (call $tail) (call $digest))
  ;; As results of a block, with a branch out of it, and as parameters of a loop.
  (func (export "block") (param i32) (result i64)
    (block $b (type $give)
      (call $give)
      (br_if $b (local.get 0))
      (call $reverse))
    (call $gc)
    (call $digest))
  (func (export "loop") (param $n i32) (result i64)
    (call $give)
    (loop $l (type $many)
      (call $reverse)
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (call $digest))
  ;; All of them as the parameters of an exception.
  (tag $e (param
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32
      i32 (ref null $box) f64 i64 f32 i32 (ref null $box) f64 i64 f32))
  (func $throw (call $give) (throw $e))
  (func (export "exception") (result i64)
    (block $h (type $give)
      (try_table (catch $e $h) (call $throw))
      (unreachable))
    (call $gc)
    (call $digest)))

(assert_return (invoke "give") (i64.const 333300))
(assert_return (invoke "same") (i64.const 333300))
(assert_return (invoke "reverse") (i64.const 167050))
(assert_return (invoke "twice") (i64.const 333300))
(assert_return (invoke "ref") (i64.const 167050))
(assert_return (invoke "tail") (i64.const 167050))
(assert_return (invoke "exception") (i64.const 333300))
(assert_return (invoke "indirect" (i32.const 0)) (i64.const 333300))
(assert_return (invoke "indirect" (i32.const 1)) (i64.const 167050))
(assert_return (invoke "block" (i32.const 1)) (i64.const 333300))
(assert_return (invoke "block" (i32.const 0)) (i64.const 167050))
(assert_return (invoke "loop" (i32.const 1)) (i64.const 167050))
(assert_return (invoke "loop" (i32.const 2)) (i64.const 333300))
(assert_return (invoke "loop" (i32.const 5)) (i64.const 167050))
