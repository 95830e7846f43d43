(func (result (ref $large))
  (struct.new_default $large))
