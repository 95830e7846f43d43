(* Strings, bytes and buffers: searching, splitting, formatting, UTF-8, a tokenizer and a calculator,
   string maps, Bytes as memory, boxed integers and floats as text, digests written here. *)

let failures = ref 0

let check name expected actual =
  if expected = actual then Printf.printf "%s: %s\n" name actual
  else begin
    incr failures;
    Printf.printf "%s: WRONG, expected %s, got %s\n" name expected actual
  end

let seed = ref 7

let random bound =
  seed := ((!seed * 4001) + 7919) land 0x3fffff;
  !seed lsr 5 mod bound

(* Searching: three ways that must agree *)

let naive text pattern =
  let n = String.length text and m = String.length pattern in
  let rec at i j = j = m || (text.[i + j] = pattern.[j] && at i (j + 1)) in
  let rec from i acc = if i + m > n then List.rev acc else from (i + 1) (if at i 0 then i :: acc else acc) in
  from 0 []

let knuth_morris_pratt text pattern =
  let m = String.length pattern in
  let fail = Array.make (m + 1) 0 in
  let k = ref 0 in
  for i = 1 to m - 1 do
    while !k > 0 && pattern.[!k] <> pattern.[i] do k := fail.(!k) done;
    if pattern.[!k] = pattern.[i] then incr k;
    fail.(i + 1) <- !k
  done;
  let found = ref [] and k = ref 0 in
  String.iteri
    (fun i c ->
      while !k > 0 && (!k = m || pattern.[!k] <> c) do k := fail.(!k) done;
      if pattern.[!k] = c then incr k;
      if !k = m then found := (i - m + 1) :: !found)
    text;
  List.rev !found

let by_sub text pattern =
  let m = String.length pattern in
  List.filter (fun i -> String.equal (String.sub text i m) pattern) (List.init (String.length text - m + 1) Fun.id)

let searching () =
  let text = String.init 20_000 (fun _ -> "ab".[random 2]) in
  List.iter
    (fun pattern ->
      let a = naive text pattern in
      check ("search " ^ pattern) "true" (string_of_bool (a = knuth_morris_pratt text pattern && a = by_sub text pattern));
      Printf.printf "  %d times, first at %d\n" (List.length a) (match a with i :: _ -> i | [] -> -1))
    [ "a"; "abab"; "bbbbbb"; "abbabaab"; "aaaaaaaaaaaa" ]

(* Words *)

let words () =
  let text =
    "the mutator runs and the collector follows it marks what the mutator can still reach and frees what the mutator can not"
  in
  let words = String.split_on_char ' ' text in
  let counts = Hashtbl.create 16 in
  List.iter (fun w -> Hashtbl.replace counts w (1 + Option.value ~default:0 (Hashtbl.find_opt counts w))) words;
  let sorted =
    List.sort (fun (a, n) (b, m) -> match Int.compare m n with 0 -> String.compare a b | c -> c) (List.of_seq (Hashtbl.to_seq counts))
  in
  Printf.printf "words: %s\n" (String.concat " " (List.map (fun (w, n) -> Printf.sprintf "%s:%d" w n) sorted));
  check "joined" text (String.concat " " words);
  check "capitals" "The Mutator Runs" (String.concat " " (List.map String.capitalize_ascii (List.filteri (fun i _ -> i < 3) words)));
  check "longest" "collector" (List.fold_left (fun a w -> if String.length w > String.length a then w else a) "" words);
  check "trim" "[x y]" ("[" ^ String.trim " \t x y\n" ^ "]");
  check "escaped" {|a\"b\\c\n\t\001|} (String.escaped "a\"b\\c\n\t\001");
  check "reversed" "dlrow" (let s = "world" in String.init 5 (fun i -> s.[4 - i]));
  check "prefix" "true false true" (Printf.sprintf "%b %b %b" (String.starts_with ~prefix:"the" text) (String.ends_with ~suffix:"yes" text) (String.contains text 'z' = false));
  check "index" "4 23" (Printf.sprintf "%d %d" (String.index text 'm') (String.index_from text 18 'e'))

(* Formatting *)

let formats () =
  check "integers" "42|   42|42   |00042|+42|2a|0X2A|52" (Printf.sprintf "%d|%5d|%-5d|%05d|%+d|%x|%#X|%o" 42 42 42 42 42 42 42 42);
  check "floats" "3.142|3.141593e+00|3.14159|0x1.8p+0| 2.50|-0|1e+100" (Printf.sprintf "%.3f|%e|%g|%h|%5.2f|%g|%g" 3.14159265 3.14159265 3.14159265 1.5 2.5 (-0.) 1e100);
  check "special" "inf -inf nan" (Printf.sprintf "%g %g %g" infinity neg_infinity nan);
  check "strings" "  ab|ab  |\"q\\n\"|'c'|true" (Printf.sprintf "%4s|%-4s|%S|%C|%B" "ab" "ab" "q\n" 'c' true);
  check "int32" "-2147483648 2147483647 ffffffff" (Printf.sprintf "%ld %ld %lx" Int32.min_int Int32.max_int (-1l));
  check "int64" "-9223372036854775808 123456789012345678 7048860ddf79" (Printf.sprintf "%Ld %Ld %Lx" Int64.min_int 123456789012345678L 123456789012345L);
  check "nested" "<a,1> <b,2>" (Printf.sprintf "%a" (fun () l -> String.concat " " (List.map (fun (s, n) -> Printf.sprintf "<%s,%d>" s n) l)) [ ("a", 1); ("b", 2) ]);
  check "scanned" "7 seven 7.5" (Scanf.sscanf "7 seven 7.5" "%d %s %f" (fun d s f -> Printf.sprintf "%d %s %g" d s f));
  check "parsed" "255 -17 5 1000000" (String.concat " " (List.map (fun s -> string_of_int (int_of_string s)) [ "0xff"; "-17"; "0b101"; "1_000_000" ]));
  check "float text" "0.1 1e+20 1.5e-07 42." (String.concat " " (List.map string_of_float [ 0.1; 1e20; 1.5e-7; 42. ]));
  let b = Buffer.create 1 in
  for i = 0 to 2999 do
    Printf.bprintf b "%d:%c;" i (Char.chr (97 + (i mod 26)));
    if i mod 500 = 499 then Buffer.truncate b (Buffer.length b / 2)
  done;
  Printf.printf "buffer: %d ...%s\n" (Buffer.length b) (Buffer.sub b (Buffer.length b - 12) 12)

(* UTF-8 *)

let utf8 () =
  let text = "aé€😀z" in
  let rec decode i acc =
    if i >= String.length text then List.rev acc
    else
      let d = String.get_utf_8_uchar text i in
      decode (i + Uchar.utf_decode_length d) (Uchar.to_int (Uchar.utf_decode_uchar d) :: acc)
  in
  let points = decode 0 [] in
  check "code points" "61 e9 20ac 1f600 7a" (String.concat " " (List.map (Printf.sprintf "%x") points));
  let b = Buffer.create 16 in
  List.iter (fun p -> Buffer.add_utf_8_uchar b (Uchar.of_int p)) points;
  check "encoded" text (Buffer.contents b);
  check "bytes" "11 true false" (Printf.sprintf "%d %b %b" (String.length text) (String.is_valid_utf_8 text) (String.is_valid_utf_8 (String.sub text 0 2)));
  Buffer.clear b;
  List.iter (fun p -> Buffer.add_utf_16le_uchar b (Uchar.of_int p)) points;
  check "utf-16" "12" (string_of_int (Buffer.length b))

(* A calculator *)

type token = Num of float | Op of char | Open | Close | Name of string

exception Syntax of int * string

let tokens text =
  let n = String.length text in
  let rec skip p i = if i < n && p text.[i] then skip p (i + 1) else i in
  let rec go i acc =
    if i >= n then List.rev acc
    else
      match text.[i] with
      | ' ' -> go (i + 1) acc
      | '0' .. '9' ->
          let j = skip (function '0' .. '9' | '.' -> true | _ -> false) i in
          go j (Num (float_of_string (String.sub text i (j - i))) :: acc)
      | 'a' .. 'z' ->
          let j = skip (function 'a' .. 'z' -> true | _ -> false) i in
          go j (Name (String.sub text i (j - i)) :: acc)
      | '(' -> go (i + 1) (Open :: acc)
      | ')' -> go (i + 1) (Close :: acc)
      | ('+' | '-' | '*' | '/') as c -> go (i + 1) (Op c :: acc)
      | c -> raise (Syntax (i, Printf.sprintf "unexpected %C" c))
  in
  go 0 []

let evaluate env text =
  let rest = ref (tokens text) in
  let next () = match !rest with [] -> raise (Syntax (-1, "unexpected end")) | t :: r -> rest := r; t in
  let rec expression () =
    let rec more acc =
      match !rest with
      | Op '+' :: r -> rest := r; more (acc +. product ())
      | Op '-' :: r -> rest := r; more (acc -. product ())
      | _ -> acc
    in
    more (product ())
  and product () =
    let rec more acc =
      match !rest with
      | Op '*' :: r -> rest := r; more (acc *. atom ())
      | Op '/' :: r -> rest := r; more (acc /. atom ())
      | _ -> acc
    in
    more (atom ())
  and atom () =
    match next () with
    | Num x -> x
    | Op '-' -> -.atom ()
    | Open ->
        let x = expression () in
        (match next () with Close -> x | _ -> raise (Syntax (-2, "no closing parenthesis")))
    | Name f when !rest <> [] && List.hd !rest = Open -> (
        let x = atom () in
        match f with "sqrt" -> sqrt x | "half" -> x /. 2. | _ -> raise (Syntax (-3, "no function " ^ f)))
    | Name v -> List.assoc v env
    | Op _ | Close -> raise (Syntax (-4, "misplaced"))
  in
  let x = expression () in
  if !rest <> [] then raise (Syntax (-5, "left over")) else x

let calculator () =
  let try_ text =
    try Printf.sprintf "%g" (evaluate [ ("x", 3.); ("pi", 3.14159) ] text) with
    | Syntax (at, why) -> Printf.sprintf "%d %s" at why
    | Not_found -> "unknown"
  in
  List.iter
    (fun (text, expected) -> check text expected (try_ text))
    [
      ("1 + 2 * 3", "7"); ("(1 + 2) * -3", "-9"); ("x * x - pi", "5.85841"); ("sqrt(16) / half(4)", "2"); ("2 *", "-1 unexpected end");
      ("(1", "-1 unexpected end"); ("1 $ 2", "2 unexpected '$'"); ("y", "unknown"); ("cube(2)", "-3 no function cube"); ("1 2", "-5 left over");
    ];
  let total = ref 0. in
  for i = 1 to 4000 do
    total := !total +. evaluate [ ("i", float_of_int i) ] "(i + 1) * (i - 1) / 2 - half(i * i)"
  done;
  check "many" "-2000" (Printf.sprintf "%g" !total)

(* Bytes, Int32 and Int64 *)

let adler text =
  let a = ref 1 and b = ref 0 in
  String.iter (fun c -> a := (!a + Char.code c) mod 65521; b := (!b + !a) mod 65521) text;
  Printf.sprintf "%04x%04x" !b !a

let fnv64 text =
  String.fold_left (fun h c -> Int64.mul (Int64.logxor h (Int64.of_int (Char.code c))) 0x100000001b3L) 0xcbf29ce484222325L text

let crc32 =
  let table =
    lazy
      (Array.init 256 (fun n ->
           let c = ref (Int32.of_int n) in
           for _ = 0 to 7 do
             c :=
               if Int32.logand !c 1l <> 0l then Int32.logxor 0xedb88320l (Int32.shift_right_logical !c 1)
               else Int32.shift_right_logical !c 1
           done;
           !c))
  in
  fun text ->
    let table = Lazy.force table in
    Int32.lognot
      (String.fold_left
         (fun c ch ->
           let i = Int32.to_int (Int32.logand (Int32.logxor c (Int32.of_int (Char.code ch))) 0xffl) in
           Int32.logxor table.(i) (Int32.shift_right_logical c 8))
         0xffffffffl text)

let base64 text =
  let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" in
  let n = String.length text in
  let byte i = if i < n then Char.code text.[i] else 0 in
  String.concat ""
    (List.init ((n + 2) / 3) (fun k ->
         let i = k * 3 in
         let v = (byte i lsl 16) lor (byte (i + 1) lsl 8) lor byte (i + 2) in
         String.init 4 (fun j -> if i + j > n then '=' else digits.[(v lsr (18 - (6 * j))) land 63])))

let bytes () =
  check "adler" "11e60398" (adler "Wikipedia");
  check "fnv" "af63dc4c8601ec8c" (Printf.sprintf "%Lx" (fnv64 "a"));
  check "crc" "cbf43926" (Printf.sprintf "%lx" (crc32 "123456789"));
  check "base64" "TWFu TWE= TQ== aGVhcHdyaWdodA==" (String.concat " " (List.map base64 [ "Man"; "Ma"; "M"; "heapwright" ]));
  check "md5" "900150983cd24fb0d6963f7d28e17f72" (Digest.to_hex (Digest.string "abc"));
  let b = Bytes.make 64 '.' in
  Bytes.set_int32_le b 0 0x64636261l;
  Bytes.set_int64_be b 8 0x6162636465666768L;
  Bytes.set_uint16_le b 20 0x5a59;
  Bytes.blit_string "<blit>" 0 b 30 6;
  Bytes.fill b 40 4 '#';
  Bytes.blit b 30 b 33 6;
  check "memory" "abcd....abcdefgh....YZ........<bl<blit>.####...................." (Bytes.to_string b);
  check "read back" "64636261 6867666564636261 23232323" (Printf.sprintf "%lx %Lx %lx" (Bytes.get_int32_le b 0) (Bytes.get_int64_le b 8) (Bytes.get_int32_be b 40));
  let big = String.init 100_000 (fun i -> Char.chr (((i * i) + (i lsr 3)) land 255)) in
  Printf.printf "big: %s %Lx %lx %s\n" (adler big) (fnv64 big) (crc32 big) (Digest.to_hex (Digest.string big));
  check "compare" "-1 0 1" (Printf.sprintf "%d %d %d" (compare "abc" "abd") (compare "abc" "abc") (compare "b" "abc"));
  check "hash" "true" (string_of_bool (Hashtbl.hash "heap" = Hashtbl.hash ("he" ^ "ap")))

(* Much garbage *)

let churn () =
  let module M = Map.Make (String) in
  let m = ref M.empty and digest = ref 0 in
  for i = 1 to 30_000 do
    let k = String.make (1 + random 8) (Char.chr (97 + random 26)) ^ string_of_int (random 50) in
    m := M.add k (k ^ "/" ^ string_of_int i) !m;
    if M.cardinal !m > 400 then m := M.remove (fst (M.choose !m)) !m
  done;
  M.iter (fun k v -> digest := ((!digest * 31) + Hashtbl.hash (k, v)) land 0xffffff) !m;
  Printf.printf "churn: %d entries, digest %d\n" (M.cardinal !m) !digest

let () =
  searching ();
  words ();
  formats ();
  utf8 ();
  calculator ();
  bytes ();
  churn ();
  print_endline (if !failures = 0 then "ok" else Printf.sprintf "FAILED %d" !failures)
