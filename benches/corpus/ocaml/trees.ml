(* Trees of every kind: bare binary trees, red-black trees, the library's balanced maps and sets, a
   leftist heap, tries, a rewriting system for lambda terms, Huffman codes. Much allocation of small
   blocks, pattern matching on constructors, integers without a box and polymorphic comparison. *)

let failures = ref 0

let check name expected actual =
  if expected = actual then Printf.printf "%s: %s\n" name actual
  else begin
    incr failures;
    Printf.printf "%s: WRONG, expected %s, got %s\n" name expected actual
  end

let seed = ref 42

(* Small enough for any width of integer. *)
let random bound =
  seed := ((!seed * 4001) + 7919) land 0x3fffff;
  !seed lsr 5 mod bound

let mix h x = ((h * 31) + x) land 0xffffff

(* Binary trees that live and die whole *)

type tree = Leaf | Node of tree * tree

let rec make depth = if depth = 0 then Node (Leaf, Leaf) else Node (make (depth - 1), make (depth - 1))
let rec count = function Leaf -> 0 | Node (l, r) -> 1 + count l + count r

let binary_trees max_depth =
  let long_lived = make max_depth in
  let depth = ref 4 in
  while !depth <= max_depth do
    let rounds = 1 lsl (max_depth - !depth + 3) in
    let total = ref 0 in
    for _ = 1 to rounds do
      total := !total + count (make !depth)
    done;
    check
      (Printf.sprintf "%d trees of depth %d" rounds !depth)
      (string_of_int (rounds * ((2 lsl !depth) - 1)))
      (string_of_int !total);
    depth := !depth + 4
  done;
  check "long-lived tree" (string_of_int ((2 lsl max_depth) - 1)) (string_of_int (count long_lived))

(* Red-black trees, insertion only, and their invariants *)

type colour = Red | Black
type 'a rb = Empty | Rb of colour * 'a rb * 'a * 'a rb

let balance = function
  | Black, Rb (Red, Rb (Red, a, x, b), y, c), z, d
  | Black, Rb (Red, a, x, Rb (Red, b, y, c)), z, d
  | Black, a, x, Rb (Red, Rb (Red, b, y, c), z, d)
  | Black, a, x, Rb (Red, b, y, Rb (Red, c, z, d)) ->
      Rb (Red, Rb (Black, a, x, b), y, Rb (Black, c, z, d))
  | colour, l, x, r -> Rb (colour, l, x, r)

let insert compare x t =
  let rec go = function
    | Empty -> Rb (Red, Empty, x, Empty)
    | Rb (colour, l, y, r) as whole ->
        let c = compare x y in
        if c < 0 then balance (colour, go l, y, r)
        else if c > 0 then balance (colour, l, y, go r)
        else whole
  in
  match go t with Rb (_, l, y, r) -> Rb (Black, l, y, r) | Empty -> Empty

exception Broken of string

(* The number of black nodes on every path; raises if the paths differ or a red node has a red child. *)
let rec black_height = function
  | Empty -> 1
  | Rb (Red, Rb (Red, _, _, _), _, _) | Rb (Red, _, _, Rb (Red, _, _, _)) -> raise (Broken "red below red")
  | Rb (colour, l, _, r) ->
      let hl = black_height l and hr = black_height r in
      if hl <> hr then raise (Broken "unequal heights");
      if colour = Black then hl + 1 else hl

let rec fold f t acc = match t with Empty -> acc | Rb (_, l, x, r) -> fold f r (f x (fold f l acc))

let red_black () =
  let module S = Set.Make (Int) in
  let t = ref Empty and s = ref S.empty in
  for _ = 1 to 40_000 do
    let x = random 30_000 in
    t := insert Int.compare x !t;
    s := S.add x !s
  done;
  let elements = List.rev (fold List.cons !t []) in
  check "red-black agrees with Set" "true" (string_of_bool (elements = S.elements !s));
  Printf.printf "red-black: %d elements, black height %d\n" (List.length elements) (black_height !t);
  (* The same with a polymorphic comparison over tuples and strings. *)
  let t = ref Empty in
  for i = 1 to 5_000 do
    let n = random 100 in
    t := insert compare (string_of_int n, n land 3, [ i land 1; n ], float_of_int n /. 2.) !t
  done;
  let n, digest =
    fold (fun (s, k, l, f) (n, h) -> (n + 1, mix h (String.length s + k + List.length l + int_of_float f))) !t (0, 7)
  in
  Printf.printf "red-black of tuples: %d elements, digest %d, black height %d\n" n digest (black_height !t);
  check "red below red" "red below red"
    (try string_of_int (black_height (Rb (Red, Rb (Red, Empty, 1, Empty), 2, Empty))) with Broken why -> why)

(* Maps *)

let maps () =
  let module M = Map.Make (String) in
  let m = ref M.empty in
  for i = 1 to 30_000 do
    let key = Printf.sprintf "k%04d" (random 3000) in
    m := if random 5 = 0 then M.remove key !m else M.update key (function None -> Some [ i ] | Some l -> Some (i :: l)) !m
  done;
  let lists, total = M.fold (fun _ l (n, t) -> (n + 1, t + List.length l)) !m (0, 0) in
  Printf.printf "map: %d keys, %d items, first %s, last %s\n" lists total (fst (M.min_binding !m)) (fst (M.max_binding !m));
  let evens, odds = M.partition (fun _ l -> List.length l land 1 = 0) !m in
  check "partition" (string_of_int lists) (string_of_int (M.cardinal evens + M.cardinal odds));
  let union = M.union (fun _ _ _ -> raise Exit) evens odds in
  check "union" "true" (string_of_bool (M.equal ( = ) union !m));
  let table = Hashtbl.create 16 in
  M.iter (fun k l -> Hashtbl.replace table k (List.fold_left mix 1 l)) !m;
  let from_map = M.fold (fun _ l h -> mix h (List.fold_left mix 1 l)) !m 0 in
  let from_table = List.fold_left (fun h k -> mix h (Hashtbl.find table k)) 0 (List.map fst (M.bindings !m)) in
  check "hash table" (string_of_int from_map) (string_of_int from_table)

(* A leftist heap as a functor *)

module Heap (O : sig
  type t

  val compare : t -> t -> int
end) =
struct
  type t = E | T of int * O.t * t * t

  let rank = function E -> 0 | T (r, _, _, _) -> r
  let join x a b = if rank a >= rank b then T (rank b + 1, x, a, b) else T (rank a + 1, x, b, a)

  let rec merge a b =
    match (a, b) with
    | E, h | h, E -> h
    | T (_, x, a1, b1), T (_, y, a2, b2) ->
        if O.compare x y <= 0 then join x a1 (merge b1 b) else join y a2 (merge a b2)

  let add x h = merge (T (1, x, E, E)) h
  let take = function E -> None | T (_, x, a, b) -> Some (x, merge a b)
end

let heaps () =
  let module H = Heap (struct
    type t = int * string

    let compare (a, s) (b, t) = match Int.compare a b with 0 -> String.compare s t | c -> c
  end) in
  let rec drain h last n digest =
    match H.take h with
    | None -> (n, digest)
    | Some (((k, _) as x), rest) ->
        if compare x last < 0 then raise (Broken "heap order");
        drain rest x (n + 1) (mix digest k)
  in
  let h = ref H.E in
  for i = 1 to 30_000 do
    h := H.add (random 100_000, string_of_int (i land 7)) !h
  done;
  let n, digest = drain !h (-1, "") 0 0 in
  Printf.printf "heap: %d taken in order, digest %d\n" n digest

(* Huffman codes *)

type code = Symbol of char | Fork of code * code

let huffman text =
  let counts = Array.make 256 0 in
  String.iter (fun c -> counts.(Char.code c) <- counts.(Char.code c) + 1) text;
  let leaves =
    List.filter (fun (n, _, _) -> n > 0) (List.init 256 (fun i -> (counts.(i), i, Symbol (Char.chr i))))
  in
  let rec build serial = function
    | [] -> invalid_arg "huffman"
    | [ (_, _, t) ] -> t
    | forest -> (
        match List.sort compare forest with
        | (n, _, a) :: (m, _, b) :: rest -> build (serial + 1) ((n + m, serial, Fork (a, b)) :: rest)
        | _ -> assert false)
  in
  let tree = build 256 leaves in
  let codes = Hashtbl.create 64 in
  let rec assign prefix = function
    | Symbol c -> Hashtbl.add codes c prefix
    | Fork (a, b) ->
        assign (prefix ^ "0") a;
        assign (prefix ^ "1") b
  in
  assign "" tree;
  let out = Buffer.create 1024 in
  String.iter (fun c -> Buffer.add_string out (Hashtbl.find codes c)) text;
  let bits = Buffer.contents out in
  let back = Buffer.create 1024 in
  let at =
    String.fold_left
      (fun at bit ->
        match at with
        | Fork (a, b) -> (
            match if bit = '0' then a else b with
            | Symbol c ->
                Buffer.add_char back c;
                tree
            | inner -> inner)
        | Symbol _ -> raise (Broken "huffman"))
      tree bits
  in
  assert (at == tree);
  (String.length bits, Buffer.contents back)

let codes () =
  let text = String.concat " " (List.init 2000 (fun i -> [| "heap"; "root"; "mark"; "sweep"; "copy"; "nursery" |].(i * i mod 6))) in
  let bits, back = huffman text in
  check "huffman back" "true" (string_of_bool (back = text));
  Printf.printf "huffman: %d characters, %d bits\n" (String.length text) bits

(* Lambda terms with de Bruijn indices, reduced to normal form *)

type term = V of int | L of term | A of term * term

let rec shift d c = function
  | V k -> V (if k >= c then k + d else k)
  | L t -> L (shift d (c + 1) t)
  | A (t, u) -> A (shift d c t, shift d c u)

let rec subst j s = function
  | V k -> if k = j then s else V k
  | L t -> L (subst (j + 1) (shift 1 0 s) t)
  | A (t, u) -> A (subst j s t, subst j s u)

let steps = ref 0

let rec whnf = function
  | A (t, u) -> (
      match whnf t with
      | L body ->
          incr steps;
          whnf (shift (-1) 0 (subst 0 (shift 1 0 u) body))
      | t -> A (t, u))
  | t -> t

let rec normal t = match whnf t with L t -> L (normal t) | A (t, u) -> A (normal t, normal u) | v -> v
let church n = L (L (List.fold_left (fun t _ -> A (V 1, t)) (V 0) (List.init n Fun.id)))
let plus = L (L (L (L (A (A (V 3, V 1), A (A (V 2, V 1), V 0))))))
let times = L (L (L (A (V 2, A (V 1, V 0)))))
let power = L (L (A (V 0, V 1)))

let value = function
  | L (L t) ->
      let rec go n = function V 0 -> n | A (V 1, t) -> go (n + 1) t | _ -> -1 in
      go 0 t
  | _ -> -1

let lambda () =
  let sum = A (A (plus, church 20), church 22) in
  let product = A (A (times, church 30), church 40) in
  let big = A (A (power, church 2), church 10) in
  check "sum" "42" (string_of_int (value (normal sum)));
  check "product" "1200" (string_of_int (value (normal product)));
  check "power" "1024" (string_of_int (value (normal big)));
  Printf.printf "lambda: %d reductions\n" !steps

let () =
  binary_trees 16;
  red_black ();
  maps ();
  heaps ();
  codes ();
  lambda ();
  print_endline (if !failures = 0 then "ok" else Printf.sprintf "FAILED %d" !failures)
