import 'dart:async';import 'dart:collection' show HashMap,Queue;
/// A queue of jobs.
class Jobs<T extends Comparable<T>> extends Object with IterableMixin<T> implements Sink<T>{
final List<T> _items=[]; late final String name; static const int limit=0x10;
Jobs(this.name,{int? size,required bool strict}):assert(size==null||size>0),super();
factory Jobs.empty()=>Jobs('empty',strict:false);
@override void add(T item){if(_items.length>=limit){throw StateError('queue "$name" is full: ${_items.length} of $limit items, and ${item.hashCode.toRadixString(16)} was refused');}
_items.add(item);}
@override void close(){} @override Iterator<T> get iterator=>_items.iterator;
Future<Map<String,List<int>>> run(Future<int> Function(T item,{String? label}) work)async{
final result=<String,List<int>>{};
for(final item in _items){try{final n=await work(item,label:'$item');result.putIfAbsent(name,()=>[]).add(n);}on FormatException catch(e,s){print('$e\n$s');rethrow;}finally{await Future<void>.delayed(const Duration(milliseconds:1));}}
return result;}
}
enum Shape{circle(1),square(4);const Shape(this.sides);final int sides;double area(double r)=>switch(this){Shape.circle=>3.14*r*r,Shape.square when r>0=>r*r,_=>0};}
sealed class Node{} final class Leaf extends Node{final num value;Leaf(this.value);} final class Branch extends Node{final Node left,right;Branch(this.left,this.right);}
num sum(Node n)=>switch(n){Leaf(:var value)=>value,Branch(left:var l,right:var r)=>sum(l)+sum(r)};
extension on String{String get reversed=>split('').reversed.join();}
void main(List<String> arguments)async{var jobs=Jobs<num>('main',strict:true)..add(1)..add(2.5);
var (a,b)=(1,'two');final text='''
multi $a
  line ${b.reversed}''';
print(await jobs.run((item,{label})async=>item.toInt()*1000000007%97));
var list=[for(var i=0;i<10;i++)if(i.isEven)...[i,i*i]else -i,];
list.where((e)=>e>2).map((e)=>e.toString().padLeft(4,'0')).toList().forEach((element){print(element);});
print(text+list.toString()); // done
}
