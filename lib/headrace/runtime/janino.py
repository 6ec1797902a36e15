"""Java that is compiled where it is needed, by Janino, the compiler that Spark brings for its own queries.

So it fits the Spark that is there, and needs no JDK.
"""

from __future__ import annotations

from typing import Any


def cooked(context: Any, source: str) -> Any:
    """Janino's compiler after it has compiled a source: it has the classes, and their bytes.

    Args:
        context: Spark's.
        source: Of one file; Janino knows neither generics nor lambdas.

    Raises:
        Py4JError: If this Spark has other classes than the source asks for.
    """
    compiler = context._jvm.org.codehaus.janino.SimpleCompiler()
    compiler.setParentClassLoader(context._jvm.java.lang.Thread.currentThread().getContextClassLoader())
    compiler.cook(source)
    return compiler


def instance(context: Any, loaded: Any) -> Any:
    """An object of a class that was loaded, by its constructor that takes nothing."""
    java, made = context._jvm.java.lang, context._gateway.new_array
    return loaded.getDeclaredConstructor(made(java.Class, 0)).newInstance(made(java.Object, 0))
