(* Exceptions: constant ones and ones with arguments, local ones, exceptions as control flow, nested
   handlers, re-raising, Fun.protect, handlers in tail position and outside it, results,
   thrown through higher-order library functions, and loops that raise very often. *)

exception Found of int
exception Pair of string * int
exception Nothing
exception Wrapped of string * exn

let failures = ref 0

let check name expected actual =
  if expected = actual then Printf.printf "%s: %s\n" name actual
  else begin
    incr failures;
    Printf.printf "%s: WRONG, expected %s, got %s\n" name expected actual
  end

let show = function
  | Found n -> Printf.sprintf "Found %d" n
  | Pair (s, n) -> Printf.sprintf "Pair (%s, %d)" s n
  | Nothing -> "Nothing"
  | Not_found -> "Not_found"
  | Failure s -> "Failure " ^ s
  | Invalid_argument s -> "Invalid_argument " ^ s
  | Division_by_zero -> "Division_by_zero"
  | Exit -> "Exit"
  | End_of_file -> "End_of_file"
  | Wrapped (s, _) -> "Wrapped " ^ s
  | _ -> "other"

(* Sources of every kind *)

let sources : (string * (unit -> int)) list =
  [
    ("constant", fun () -> raise Nothing);
    ("argument", fun () -> raise (Found 3));
    ("two arguments", fun () -> raise (Pair ("x", 4)));
    ("failwith", fun () -> failwith "no");
    ("invalid_arg", fun () -> invalid_arg "bad");
    ("division", fun () -> 1 / (!failures - !failures));
    ("modulo", fun () -> 1 mod List.length []);
    ("array", fun () -> [| 1; 2 |].(2 + !failures));
    ("negative index", fun () -> [| 1; 2 |].(-1));
    ("string", fun () -> Char.code "abc".[5]);
    ("bytes", fun () -> Bytes.set (Bytes.create 2) 2 'x'; 0);
    ("hd", fun () -> List.hd []);
    ("nth", fun () -> List.nth [ 1; 2 ] 7);
    ("assoc", fun () -> List.assoc "k" [ ("j", 1) ]);
    ("find", fun () -> List.find (fun x -> x > 5) [ 1; 2 ]);
    ("table", fun () -> Hashtbl.find (Hashtbl.create 3) 1);
    ("option", fun () -> Option.get None);
    ("int_of_string", fun () -> int_of_string "12z");
    ("make", fun () -> Array.length (Array.make (-1) 0));
    ("sub", fun () -> String.length (String.sub "abc" 1 3));
    ("combine", fun () -> List.length (List.combine [ 1 ] []));
    ("fine", fun () -> 42);
  ]

(* Order of handlers and finalisers *)

let trail fail =
  let out = Buffer.create 16 in
  let say = Buffer.add_string out in
  (try
     say "a";
     (try
        say "b";
        if fail = 1 then raise Nothing;
        say "c";
        if fail = 2 then raise (Found 2);
        if fail = 3 then failwith "three"
      with
     | Nothing -> say "[nothing]"
     | Found n when n > 5 -> say "[never]"
     | Failure s ->
         say ("[" ^ s ^ "]");
         raise (Wrapped (s, Not_found)));
     say "d"
   with
  | Found n -> say (Printf.sprintf "<found %d>" n)
  | Wrapped (s, Not_found) -> say (Printf.sprintf "<wrapped %s>" s));
  say "e";
  Buffer.contents out

let protected () =
  let log = Buffer.create 16 in
  let rec nest n =
    Fun.protect
      ~finally:(fun () -> Buffer.add_string log (string_of_int n))
      (fun () -> if n = 0 then raise (Found 77) else nest (n - 1))
  in
  let result = try nest 9 with Found n -> n in
  Printf.sprintf "%d %s" result (Buffer.contents log)

let finally_raises () =
  try Fun.protect ~finally:(fun () -> raise Nothing) (fun () -> 1) with
  | Fun.Finally_raised Nothing -> 2
  | _ -> 3

(* Exceptions as control flow *)

let find_first p a =
  try
    Array.iteri (fun i x -> if p x then raise (Found i)) a;
    -1
  with Found i -> i

let with_return f =
  let exception Return of int in
  f (fun x -> raise (Return x)) |> fun x -> x

let local_exceptions () =
  (* Two instances of one local exception are different exceptions. *)
  let make () =
    let exception Mine of int in
    ((fun n -> raise (Mine n)), fun f -> try f () with Mine n -> n)
  in
  let raise1, catch1 = make () and raise2, catch2 = make () in
  let a = catch1 (fun () -> catch2 (fun () -> raise1 1)) in
  let b = catch1 (fun () -> catch2 (fun () -> raise2 2)) in
  let c = try catch1 (fun () -> raise2 3) with Found _ -> 0 | _ -> 33 in
  Printf.sprintf "%d %d %d" a b c

let rec search board n row =
  (* Queens, the first solution leaves by an exception. *)
  if row = n then raise (Pair (String.concat "" (List.rev_map string_of_int board), n))
  else
    for c = 0 to n - 1 do
      let safe = List.for_all Fun.id (List.mapi (fun i q -> q <> c && abs (q - c) <> i + 1) board) in
      if safe then search (c :: board) n (row + 1)
    done

(* Frames in between *)

let through_library () =
  let log = ref [] in
  let attempt name f = log := (name ^ "=" ^ try string_of_int (f ()) with e -> show e) :: !log in
  attempt "map" (fun () -> List.length (List.map (fun x -> if x = 3 then raise (Found x) else x) [ 1; 2; 3; 4 ]));
  attempt "fold" (fun () -> List.fold_left (fun a x -> if a > 5 then raise (Found a) else a + x) 0 [ 1; 2; 3; 4; 5 ]);
  attempt "sort" (fun () ->
      let n = ref 0 in
      let compare a b = incr n; if !n = 7 then raise (Pair ("compare", !n)) else Int.compare a b in
      List.hd (List.sort compare [ 5; 2; 8; 1; 9; 3; 7 ]));
  attempt "iter" (fun () -> Hashtbl.iter (fun k _ -> raise (Found k)) (let t = Hashtbl.create 1 in Hashtbl.add t 6 (); t); 0);
  attempt "lazy" (fun () -> Lazy.force (lazy (raise Nothing)));
  attempt "seq" (fun () -> Seq.fold_left ( + ) 0 (Seq.map (fun x -> if x > 4 then raise Exit else x) (Seq.ints 0)));
  attempt "init" (fun () -> Array.length (Array.init 10 (fun i -> if i = 8 then raise Not_found else i)));
  attempt "printf" (fun () -> Printf.ksprintf (fun s -> raise (Pair (s, String.length s))) "%d-%s" 5 "x");
  String.concat " " (List.rev !log)

let lazy_again () =
  let runs = ref 0 in
  let l = lazy (incr runs; if !runs > 0 then raise (Found !runs) else 0) in
  let a = try Lazy.force l with Found n -> n in
  let b = try Lazy.force l with Found n -> n in
  Printf.sprintf "%d %d %d" a b !runs

(* Depth and number *)

let rec deep n held =
  if n = 0 then raise (Found (List.length held))
  else
    let mine = n :: held in
    let below = try deep (n - 1) mine with Found k when n land 63 = 0 -> raise (Found (k + 1)) in
    if List.hd mine <> n then incr failures;
    below + 1

let rec chain n = if n = 0 then Nothing else Wrapped (string_of_int n, chain (n - 1))
let rec unchain = function Wrapped (_, e) -> 1 + unchain e | Nothing -> 0 | _ -> -1000

let many n =
  let sum = ref 0 and x = ref 1 in
  for i = 1 to n do
    x := ((!x * 4001) + 7919) land 0x3fffff;
    let k = (!x lsr 7) land 7 in
    sum :=
      (!sum
      +
      try
        match k with
        | 0 -> raise Nothing
        | 1 -> raise (Found (i land 15))
        | 2 -> raise (Pair ("p", i land 31))
        | 3 -> raise_notrace Exit
        | 4 -> failwith "four"
        | _ -> k
      with
      | Nothing -> 1
      | Found n -> n
      | Pair (s, n) -> n + String.length s
      | Exit -> 3
      | Failure s -> String.length s)
      land 0xffffff
  done;
  !sum

(* A handler set up in every step of a loop that runs in constant stack *)
let rec count_up n limit =
  let next = try if n land 3 = 3 then raise (Found (n + 1)) else n + 1 with Found k -> k in
  if next >= limit then next else count_up next limit

let results () =
  let parse s = match int_of_string_opt s with Some n -> Ok n | None -> Error s in
  let ( let* ) = Result.bind in
  let add a b =
    let* x = parse a in
    let* y = parse b in
    Ok (x + y)
  in
  let text = function Ok n -> string_of_int n | Error e -> "bad " ^ e in
  String.concat "; " (List.map text [ add "1" "2"; add "1" "q"; add "w" "2" ])

let () =
  List.iter
    (fun (name, f) -> Printf.printf "%s: %s\n" name (try string_of_int (f ()) with e -> show e))
    sources;
  for fail = 0 to 3 do
    Printf.printf "trail %d: %s\n" fail (trail fail)
  done;
  check "protected" "77 0123456789" (protected ());
  check "finally raises" "2" (string_of_int (finally_raises ()));
  check "find first" "17" (string_of_int (find_first (fun x -> x * x > 280) (Array.init 100 Fun.id)));
  check "escapes" "Pair (15, 5)"
    (try string_of_int (with_return (fun return -> if !failures < 0 then return 1 else raise (Pair ("15", 5)))) with e -> show e);
  check "local exceptions" "1 2 33" (local_exceptions ());
  check "queens" "Pair (04752613, 8)" (try search [] 8 0; "none" with e -> show e);
  check "library"
    "map=Found 3 fold=Found 6 sort=Pair (compare, 7) iter=Found 6 lazy=Nothing seq=Exit init=Not_found printf=Pair (5-x, 3)"
    (through_library ());
  check "lazy again" "1 1 1" (lazy_again ());
  check "deep" "1031" (try string_of_int (deep 1000 [ 0 ]) with Found n -> string_of_int (n + 15));
  check "chain" "500" (string_of_int (unchain (chain 500)));
  check "constant stack" "1000000" (string_of_int (count_up 0 1_000_000));
  check "results" "3; bad q; bad w" (results ());
  check "printed" {|Stdlib.Exit Exceptions.Pair("a", 1)|} (Printexc.to_string Exit ^ " " ^ Printexc.to_string (Pair ("a", 1)));
  Printf.printf "many: %d\n" (many 300_000);
  print_endline (if !failures = 0 then "ok" else Printf.sprintf "FAILED %d" !failures)
