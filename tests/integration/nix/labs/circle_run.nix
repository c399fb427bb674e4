{
  pipelines = [ ];
}
