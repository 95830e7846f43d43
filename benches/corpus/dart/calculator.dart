// A calculator: tokens, a tree, values. Written for the formatter, so nothing here is laid out as it should be.
library calculator;
import 'dart:math' as math; import 'dart:convert' show JsonEncoder,utf8; export 'src/tokens.dart' show Token,TokenKind hide Lexeme;
part 'calculator.g.dart';

typedef Unary=double Function(double);
typedef Scope<V extends Object>=Map<String,V>;
@Deprecated('use [Interpreter]') const int maximumDepth=0x7fff, minimumDepth=-1;

enum Operator implements Comparable<Operator>{
plus('+',1),minus('-',1),times('*',2),divide('/',2),power('^',3,rightAssociative:true);
const Operator(this.symbol,this.precedence,{this.rightAssociative=false}); final String symbol; final int precedence; final bool rightAssociative;
static final Map<String,Operator> bySymbol={for(final operator in values)operator.symbol:operator};
double apply(double a,double b)=>switch(this){plus=>a+b,minus=>a-b,times=>a*b,divide when b==0=>throw UnsupportedError('division by zero: $a / $b'),divide=>a/b,power=>math.pow(a,b).toDouble()};
@override int compareTo(Operator other)=>precedence!=other.precedence?precedence.compareTo(other.precedence):symbol.compareTo(other.symbol);}

sealed class Expression{const Expression();
 T accept<T>(Visitor<T> visitor);}
class Literal extends Expression{final double value;const Literal(this.value);@override T accept<T>(Visitor<T> visitor)=>visitor.literal(this);}
class Variable extends Expression{final String name;const Variable(this.name);@override T accept<T>(Visitor<T> visitor)=>visitor.variable(this);}
class Binary extends Expression{final Operator operator;final Expression left,right;
const Binary(this.operator,this.left,this.right):assert(left!=right,'both sides are one object, which is allowed but surprising in a tree');
@override T accept<T>(Visitor<T> visitor)=>visitor.binary(this);}
class Call extends Expression{final String function;final List<Expression> arguments;const Call(this.function,[this.arguments=const<Expression>[]]);@override T accept<T>(Visitor<T> visitor)=>visitor.call(this);}
abstract interface class Visitor<T>{T literal(Literal e);T variable(Variable e);T binary(Binary e);T call(Call e);}

mixin Logging on Object{final _log=<(int,String)>[];int _depth=0;
R nested<R>(String what,R Function() body){_log.add((_depth,what));_depth++;try{return body();}finally{_depth--;}}
Iterable<String> get log sync*{for(final(depth,line)in _log){yield '${'  '*depth}$line';}}}

class Parser{Parser(this.source);final String source;int _at=0;
static final RegExp _number=RegExp(r'[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?'),_name=RegExp(r'[A-Za-z_]\w*');
bool get _done{while(_at<source.length&&source[_at].trim().isEmpty){_at++;}return _at>=source.length;}
Expression parse(){final e=_expression(0);if(!_done)throw FormatException('unexpected "${source[_at]}"',source,_at);return e;}
Expression _expression(int minimum){var left=_primary();
while(!_done){final operator=Operator.bySymbol[source[_at]];if(operator==null||operator.precedence<minimum)break;_at++;
final right=_expression(operator.rightAssociative?operator.precedence:operator.precedence+1);left=Binary(operator,left,right);}
return left;}
Expression _primary(){if(_done){throw FormatException('an expression ends too early',source,_at);}
if(source[_at]=='('){_at++;final inner=_expression(0);_expect(')');return inner;}
else if(source[_at]=='-'){_at++;return Binary(Operator.minus,const Literal(0),_expression(3));}
final Match? number=_number.matchAsPrefix(source,_at);if(number!=null){_at=number.end;return Literal(double.parse(number[0]!));}
final name=_name.matchAsPrefix(source,_at)??(throw FormatException('neither a number nor a name',source,_at));_at=name.end;
if(_done||source[_at]!='(')return Variable(name[0]!);
_at++;final arguments=<Expression>[];
if(!_done&&source[_at]!=')'){do{arguments.add(_expression(0));}while(!_done&&source[_at]==','&&(++_at>0));}
_expect(')');return Call(name[0]!,List.unmodifiable(arguments));}
void _expect(String symbol){if(_done||source[_at]!=symbol){throw FormatException('expected "$symbol"',source,_at);}_at++;}}

final class Interpreter with Logging implements Visitor<double>{Interpreter({Scope<double>? variables,this.onUnknown}):variables={'pi':math.pi,'e':math.e,...?variables};
final Scope<double> variables;final double Function(String name)? onUnknown;
static const Map<String,Unary> _functions={'sin':math.sin,'cos':math.cos,'sqrt':math.sqrt,'abs':_abs,};static double _abs(double x)=>x<0?-x:x;
@override double literal(Literal e)=>nested('literal ${e.value.toStringAsFixed(2)}',()=>e.value);
@override double variable(Variable e)=>nested('variable ${e.name}',()=>variables[e.name]??onUnknown?.call(e.name)??(throw StateError('there is no variable ${e.name}; known are ${variables.keys.join(', ')}')));
@override double binary(Binary e)=>nested(e.operator.symbol,(){final left=e.left.accept(this);final right=e.right.accept(this);return e.operator.apply(left,right);});
@override double call(Call e){final values=[for(final argument in e.arguments)argument.accept(this)];
switch((e.function,values)){case('max',[var first,...var rest]):return rest.fold(first,math.max);case('min',[var first,...var rest]):return rest.fold(first,math.min);
case(var name,[var only]) when _functions.containsKey(name):return _functions[name]!(only);
case('sum',_):var total=0.0;for(var i=0;i<values.length;i+=1){total+=values[i];}return total;
default:throw ArgumentError.value(e.function,'function','not known with ${values.length} argument${values.length==1?'':'s'}');}}}

extension type Celsius(double degrees){Celsius.fromFahrenheit(double f):this((f-32)*5/9);Celsius operator+(Celsius other)=>Celsius(degrees+other.degrees);}

external int nativeClock();
Stream<int> count(int to,{Duration every=const Duration(seconds:1)})async*{for(var i=1;i<=to;i++){await Future.delayed(every);yield i;}}

/// Runs the calculator.
///
/// Prints a line for each expression,   and its log when `--log` is among the [arguments].
Future<void> main(List<String> arguments)async{
final interpreter=Interpreter(variables:{'answer':42,'half':0.5},onUnknown:(name)=>name.length.toDouble());
const cases=['1+2*3','(1+2)*3','2^3^2','-sqrt(16)+max(1,answer,half)','sum(1,2,3,4)/4','unknown*2','1/0','sin(pi/2)+cos(0)',];
outer:for(final text in cases){try{final value=Parser(text).parse().accept(interpreter);
print('${text.padRight(32)} = ${value.toStringAsPrecision(6)}${value==value.roundToDouble()?' exactly':''}');if(value>1e6){continue outer;}}
on FormatException catch(error){print('$text: ${error.message} at ${error.offset}');}
on UnsupportedError{print('$text: undefined');}catch(error,stack){print('$text: $error');assert((){print(stack);return true;}());rethrow;}}
if(arguments.contains('--log'))interpreter.log.forEach(print);else print('${interpreter.log.length} lines of log');
final json=const JsonEncoder.withIndent('  ').convert({'cases':cases.length,'bytes':utf8.encode(cases.join('\n')).length,'variables':interpreter.variables..removeWhere((key,value)=>value.isNaN),'nested':{'a':[1,2,[3,4,{'deep':true,'long':'a string that is long enough for the line to be broken somewhere before its end'}]]}});
print(json);
await for(final tick in count(3,every:const Duration(milliseconds:10))){stdoutWrite(tick.isOdd?'tick':'tock');}
var celsius=Celsius.fromFahrenheit(451)+Celsius(0.5);late String description;description=celsius.degrees>200?'hot':celsius.degrees>20?'warm':'cold';print('It is $description: ${celsius.degrees.toStringAsFixed(1)}°');
assert(description.isNotEmpty,"a description");
}
void stdoutWrite(Object? o)=>print(o);
