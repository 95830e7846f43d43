(* Effect handlers: generators, state, a scheduler with mailboxes, dynamic scope, exceptions that cross
   handlers in both directions, deep and shallow handlers. Built with --effects=cps, which
   turns what may perform an effect into continuation-passing style: many closures, many tail calls. *)

open Effect
open Effect.Deep

let failures = ref 0

let check name expected actual =
  if expected = actual then Printf.printf "%s: %s\n" name actual
  else begin
    incr failures;
    Printf.printf "%s: WRONG, expected %s, got %s\n" name expected actual
  end

let ints l = String.concat " " (List.map string_of_int l)

(* Generators *)

type 'a tree = Leaf | Node of 'a tree * 'a * 'a tree

let rec iter f = function
  | Leaf -> ()
  | Node (l, x, r) ->
      iter f l;
      f x;
      iter f r

let rec balanced from to_ =
  if from > to_ then Leaf
  else
    let mid = (from + to_) / 2 in
    Node (balanced from (mid - 1), mid, balanced (mid + 1) to_)

let rec leaning n = if n = 0 then Leaf else Node (leaning (n - 1), n, Leaf)

(* Turns any iteration inside out. *)
let to_seq (type a) (iterate : (a -> unit) -> unit) : a Seq.t =
  let module M = struct
    type _ Effect.t += Yield : a -> unit Effect.t
  end in
  fun () ->
    match_with
      (fun () -> iterate (fun x -> perform (M.Yield x)))
      ()
      {
        retc = (fun () -> Seq.Nil);
        exnc = raise;
        effc =
          (fun (type c) (e : c Effect.t) ->
            match e with
            | M.Yield x -> Some (fun (k : (c, _) continuation) -> Seq.Cons (x, fun () -> continue k ()))
            | _ -> None);
      }

let generators () =
  let a = to_seq (fun f -> iter f (balanced 1 3000)) and b = to_seq (fun f -> iter f (leaning 3000)) in
  check "same fringe" "true" (string_of_bool (Seq.equal Int.equal a b));
  check "taken" "1 2 3 4 5" (ints (List.of_seq (Seq.take 5 (to_seq (fun f -> iter f (balanced 1 1000))))));
  let naturals = to_seq (fun f -> let rec go n = f n; go (n + 1) in go 0) in
  check "endless" "1683" (string_of_int (Seq.fold_left ( + ) 0 (Seq.take 34 (Seq.filter (fun n -> n mod 3 = 0) naturals))));
  check "of a table" "15" (string_of_int (Seq.fold_left ( + ) 0 (to_seq (fun f -> Array.iter f [| 1; 2; 3; 4; 5 |]))));
  let failing = to_seq (fun f -> f 1; f 2; failwith "dry") in
  check "failing" "1 2 dry"
    (let got = ref [] in
     try Seq.iter (fun x -> got := x :: !got) failing; "none" with Failure s -> ints (List.rev !got) ^ " " ^ s)

(* State *)

type _ Effect.t += Get : int Effect.t | Put : int -> unit Effect.t

let with_state initial f =
  let state = ref initial in
  let result =
    try_with f ()
      {
        effc =
          (fun (type c) (e : c Effect.t) ->
            match e with
            | Get -> Some (fun (k : (c, _) continuation) -> continue k (!state : int))
            | Put n -> Some (fun (k : (c, _) continuation) -> state := n; continue k ())
            | _ -> None);
      }
  in
  (result, !state)

let state () =
  let result, final =
    with_state 5 (fun () ->
        for i = 1 to 20_000 do
          let n = perform Get in
          perform (Put (((n * 31) + i) land 0xffffff))
        done;
        let inner, inner_final = with_state 1000 (fun () -> perform (Put (perform Get + 1)); perform Get * 2) in
        perform Get + (inner - 2002) + (inner_final - 1001))
  in
  check "state" (string_of_int final) (string_of_int result);
  Printf.printf "state: %d\n" final

(* A scheduler *)

type _ Effect.t += Fork : (unit -> unit) -> unit Effect.t | Yield : unit Effect.t | Suspend : ((unit -> unit) -> unit) -> unit Effect.t

let run main =
  let queue = Queue.create () in
  let switches = ref 0 in
  let next () =
    incr switches;
    match Queue.take_opt queue with None -> () | Some resume -> resume ()
  in
  let rec spawn f =
    match_with f ()
      {
        retc = next;
        exnc = raise;
        effc =
          (fun (type c) (e : c Effect.t) ->
            match e with
            | Fork g ->
                Some (fun (k : (c, _) continuation) ->
                    Queue.add (fun () -> continue k ()) queue;
                    spawn g)
            | Yield ->
                Some (fun (k : (c, _) continuation) ->
                    Queue.add (fun () -> continue k ()) queue;
                    next ())
            | Suspend register ->
                Some (fun (k : (c, _) continuation) ->
                    register (fun () -> Queue.add (fun () -> continue k ()) queue);
                    next ())
            | _ -> None);
      }
  in
  spawn main;
  !switches

module Mailbox = struct
  type 'a t = { items : 'a Queue.t; readers : (unit -> unit) Queue.t }

  let create () = { items = Queue.create (); readers = Queue.create () }

  let send m x =
    Queue.add x m.items;
    match Queue.take_opt m.readers with Some wake -> wake () | None -> ()

  let rec receive m =
    match Queue.take_opt m.items with
    | Some x -> x
    | None ->
        perform (Suspend (fun wake -> Queue.add wake m.readers));
        receive m
end

let scheduler () =
  let log = Buffer.create 64 in
  let switches =
    run (fun () ->
        for i = 0 to 3 do
          perform
            (Fork
               (fun () ->
                 for j = 0 to 2 do
                   Buffer.add_string log (Printf.sprintf "%d%d " i j);
                   perform Yield
                 done))
        done)
  in
  Printf.printf "interleaving: %s(%d switches)\n" (Buffer.contents log) switches;
  (* A ring of tasks that hand a token on, and a sieve as a growing pipeline. *)
  let hops = ref 0 in
  let _ =
    run (fun () ->
        let boxes = Array.init 20 (fun _ -> Mailbox.create ()) in
        for i = 0 to 19 do
          perform
            (Fork
               (fun () ->
                 let rec loop () =
                   let token = Mailbox.receive boxes.(i) in
                   incr hops;
                   if token > 0 then (Mailbox.send boxes.((i + 1) mod 20) (token - 1); loop ())
                 in
                 loop ()))
        done;
        Mailbox.send boxes.(0) 10_000)
  in
  check "ring" "10001" (string_of_int !hops);
  let primes = ref [] in
  let _ =
    run (fun () ->
        let out = Mailbox.create () in
        let rec filter inbox =
          match Mailbox.receive inbox with
          | 0 -> Mailbox.send out 0
          | prime ->
              Mailbox.send out prime;
              let next = Mailbox.create () in
              perform (Fork (fun () -> filter next));
              let rec pass () =
                match Mailbox.receive inbox with
                | 0 -> Mailbox.send next 0
                | n ->
                    if n mod prime <> 0 then Mailbox.send next n;
                    pass ()
              in
              pass ()
        in
        let first = Mailbox.create () in
        perform (Fork (fun () -> filter first));
        perform (Fork (fun () -> for n = 2 to 300 do Mailbox.send first n; if n land 7 = 0 then perform Yield done; Mailbox.send first 0));
        let rec collect () = match Mailbox.receive out with 0 -> () | p -> primes := p :: !primes; collect () in
        collect ())
  in
  check "sieve" "62 293" (Printf.sprintf "%d %d" (List.length !primes) (List.hd !primes))

(* Exceptions across handlers *)

type _ Effect.t += Ask : string -> int Effect.t

exception Refused of string

let exceptions () =
  let log = Buffer.create 16 in
  let asking n =
    Fun.protect
      ~finally:(fun () -> Buffer.add_string log (Printf.sprintf "[%d]" n))
      (fun () -> try perform (Ask (if n land 1 = 0 then "even" else "odd")) + n with Refused why -> String.length why * 100)
  in
  let total =
    match_with
      (fun () -> List.fold_left (fun a n -> a + asking n) 0 [ 1; 2; 3; 4; 5 ])
      ()
      {
        retc = (fun x -> x + 1_000_000);
        exnc = (fun _ -> -1);
        effc =
          (fun (type c) (e : c Effect.t) ->
            match e with
            | Ask "even" -> Some (fun (k : (c, _) continuation) -> continue k 10)
            | Ask why -> Some (fun (k : (c, _) continuation) -> discontinue k (Refused why))
            | _ -> None);
      }
  in
  check "refused" "1000926 [1][2][3][4][5]" (Printf.sprintf "%d %s" total (Buffer.contents log));
  check "unhandled" "caught" (try string_of_int (perform (Ask "nobody")) with Effect.Unhandled (Ask _) -> "caught");
  let twice =
    try_with
      (fun () -> perform (Ask "x"))
      ()
      {
        effc =
          (fun (type c) (e : c Effect.t) ->
            match e with
            | Ask _ ->
                Some (fun (k : (c, _) continuation) ->
                    let a = continue k 1 in
                    try a + continue k 2 with Continuation_already_resumed -> a + 40)
            | _ -> None);
      }
  in
  check "one shot" "41" (string_of_int twice);
  (* Nested: the inner handler forwards what it does not know. *)
  let rec nest depth =
    if depth = 0 then perform (Ask "deep") + perform Get
    else fst (with_state depth (fun () -> nest (depth - 1)))
  in
  let deep =
    try_with
      (fun () -> nest 50)
      ()
      {
        effc =
          (fun (type c) (e : c Effect.t) ->
            match e with Ask _ -> Some (fun (k : (c, _) continuation) -> continue k 7) | _ -> None);
      }
  in
  check "forwarded" "8" (string_of_int deep)

(* Shallow handlers: each resumption chooses the next handler. *)

type _ Effect.t += Ping : unit Effect.t | Pong : unit Effect.t

let shallow () =
  let open Effect.Shallow in
  let log = Buffer.create 16 in
  let rec want_ping : (unit, unit) continuation -> int -> int = fun k n ->
    continue_with k ()
      {
        retc = (fun () -> n);
        exnc = raise;
        effc =
          (fun (type c) (e : c Effect.t) ->
            match e with
            | Ping -> Some (fun (k : (c, _) continuation) -> Buffer.add_char log 'i'; want_pong k (n + 1))
            | _ -> None);
      }
  and want_pong : (unit, unit) continuation -> int -> int = fun k n ->
    continue_with k ()
      {
        retc = (fun () -> -n);
        exnc = raise;
        effc =
          (fun (type c) (e : c Effect.t) ->
            match e with
            | Pong -> Some (fun (k : (c, _) continuation) -> Buffer.add_char log 'o'; want_ping k (n + 1))
            | _ -> None);
      }
  in
  let n = want_ping (fiber (fun () -> for _ = 1 to 5 do perform Ping; perform Pong done)) 0 in
  check "ping pong" "10 ioioioioio" (Printf.sprintf "%d %s" n (Buffer.contents log));
  let m =
    try want_ping (fiber (fun () -> perform Ping; perform Ping)) 0 with Effect.Unhandled Ping -> -99
  in
  check "out of turn" "-99" (string_of_int m)

let () =
  generators ();
  state ();
  scheduler ();
  exceptions ();
  shallow ();
  print_endline (if !failures = 0 then "ok" else Printf.sprintf "FAILED %d" !failures)
