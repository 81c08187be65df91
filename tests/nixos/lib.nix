# As much of nixpkgs' `lib` as the module needs, for machines that cannot get nixpkgs: options,
# `mkIf`, `mkMerge`, `mkDefault`, the types in use, and submodules with a freeform type.
# With the real one instead (SNOWGUARD_NIXPKGS_LIB) the same tests run.
let
  inherit (builtins)
    all
    any
    attrNames
    concatLists
    concatMap
    elem
    filter
    foldl'
    head
    isAttrs
    isBool
    isFunction
    isList
    isString
    length
    listToAttrs
    mapAttrs
    ;

  dots = path: builtins.concatStringsSep "." path;
  isOption = o: isAttrs o && o._type or "" == "option";
  unique = foldl' (seen: x: if elem x seen then seen else seen ++ [ x ]) [ ];
  recursiveUpdate =
    a: b:
    a
    // mapAttrs (
      name: new:
      if a ? ${name} && isAttrs a.${name} && isAttrs new && !(isOption new) then
        recursiveUpdate a.${name} new
      else
        new
    ) b;

  # A definition is what a module says of one place: { priority, value }, where the value may
  # still be wrapped. The names in it must be known before any condition is evaluated, or
  # `mkIf config.x.enable { x = …; }` would never end.
  wrappers = {
    "if" = d: inner: mkIf d.condition inner;
    override = d: inner: {
      _type = "override";
      inherit (d) priority;
      content = inner;
    };
  };
  pushDown =
    value:
    if !(isAttrs value) then
      [ value ]
    else if value._type or "" == "merge" then
      concatMap pushDown value.contents
    else if wrappers ? ${value._type or ""} then
      map (mapAttrs (_: wrappers.${value._type} value)) (pushDown value.content)
    else
      [ value ];
  discharge =
    priority: value:
    if !(isAttrs value) then
      [ { inherit priority value; } ]
    else if value._type or "" == "merge" then
      concatMap (discharge priority) value.contents
    else if value._type or "" == "if" then
      (if value.condition then discharge priority value.content else [ ])
    else if value._type or "" == "override" then
      discharge value.priority value.content
    else
      [ { inherit priority value; } ];
  strongest =
    definitions:
    let
      least = foldl' (a: d: if d.priority < a then d.priority else a) 9999 definitions;
    in
    map (d: d.value) (filter (d: d.priority == least) definitions);

  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };

  mergeOption =
    path: option: values:
    let
      defined = strongest (concatMap (discharge 100) values);
      wrong = filter (v: !(option.type.check v)) defined;
    in
    if defined == [ ] then
      if option ? default then
        option.type.merge path [ option.default ]
      else
        throw "The option `${dots path}' was accessed but has no value defined."
    else if wrong != [ ] then
      throw "A definition for option `${dots path}' is not of type `${option.type.name}'."
    else
      option.type.merge path defined;

  # The tree of options, filled with what the modules say; names that are no options go to the
  # freeform type, or are an error.
  mergeTree =
    path: freeform: options: values:
    let
      sets = concatMap pushDown values;
      at = name: concatMap (set: if set ? ${name} then [ set.${name} ] else [ ]) sets;
      declared = mapAttrs (
        name: option:
        let
          here = path ++ [ name ];
        in
        if isOption option then
          mergeOption here option (at name)
        else
          mergeTree here freeform option (at name)
      ) options;
      others = filter (name: !(options ? ${name})) (unique (concatMap attrNames sets));
      free = listToAttrs (
        map (name: {
          inherit name;
          value = mergeOption (path ++ [ name ]) { type = freeform.nested or freeform; } (at name);
        }) others
      );
    in
    if others == [ ] then
      declared
    else if freeform == null then
      throw "The option `${dots (path ++ [ (head others) ])}' does not exist."
    else
      free // declared;

  scalar = name: check: {
    inherit name check;
    merge =
      path: values:
      if length (unique values) == 1 then
        head values
      else
        throw "The option `${dots path}' has conflicting definition values.";
  };

  types = rec {
    anything = scalar "anything" (_: true);
    bool = scalar "boolean" isBool;
    str = scalar "string" isString;
    enum = allowed: scalar "one of ${toString allowed}" (v: elem v allowed);
    path = scalar "path" (v: builtins.substring 0 1 (toString v) == "/");
    package = scalar "package" (v: isAttrs v && v ? outPath);
    either = a: b: {
      name = "${a.name} or ${b.name}";
      check = v: a.check v || b.check v;
      merge = loc: values: (if all a.check values then a else b).merge loc values;
    };
    oneOf = ts: foldl' either (head ts) (builtins.tail ts);
    listOf = t: {
      name = "list of ${t.name}";
      check = v: isList v && all t.check v;
      merge = loc: values: concatLists (map (map (v: t.merge loc [ v ])) values);
    };
    attrsOf = t: {
      name = "attribute set of ${t.name}";
      nested = t;
      check = isAttrs;
      merge = loc: values: mergeTree loc { nested = t; } { } values;
    };
    submodule = module: {
      name = "submodule";
      check = isAttrs;
      merge = loc: values: mergeTree loc (module.freeformType or null) (module.options or { }) values;
    };
  };

  self = {
    inherit mkIf types;
    mkOption = option: option // { _type = "option"; };
    mkEnableOption = what: {
      _type = "option";
      type = types.bool;
      default = false;
      description = "Whether to enable ${what}.";
    };
    mkMerge = contents: {
      _type = "merge";
      inherit contents;
    };
    mkDefault = content: {
      _type = "override";
      priority = 1000;
      inherit content;
    };
    literalExpression = text: text;
    literalMD = text: text;

    evalModules =
      { modules, specialArgs }:
      let
        config = mergeTree [ ] null options (map (m: m.config) parts);
        call =
          module:
          if isFunction module then
            module (
              specialArgs
              // {
                inherit config;
                lib = self;
              }
            )
          else
            module;
        read = module: if isFunction module || isAttrs module then call module else call (import module);
        split =
          module: if any (n: module ? ${n}) [ "options" "config" ] then module else { config = module; };
        parts = map (m: { options = { }; config = { }; } // split (read m)) modules;
        options = foldl' recursiveUpdate { } (map (m: m.options) parts);
      in
      {
        inherit config;
      };

    # For package.nix.
    importTOML = file: builtins.fromTOML (builtins.readFile file);
    fileset = {
      unions = files: assert all builtins.pathExists files; files;
      toSource = { root, fileset }: builtins.seq (length fileset) (toString root);
    };
    licenses = {
      mit.spdxId = "MIT";
      asl20.spdxId = "Apache-2.0";
    };
    platforms.linux = [
      "x86_64-linux"
      "aarch64-linux"
    ];
  };
in
self
