void main() {
  var x = [1, 2
  print(x;
}
